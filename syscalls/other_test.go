//go:build !linux

package syscalls_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// Off Linux, a function fails with errors.ErrUnsupported and names the call. This test calls one
// function for each helper that wraps errors, and those functions that do more than pass the error
// on. TestStubsReturnErrOther checks the implementations of all functions.
func TestOtherSystems(t *testing.T) {
	b := make([]byte, 1)
	for name, err := range map[string]error{
		"clock_gettime":    second(syscalls.CoarseNow()),
		"fsync":            syscalls.Fsync(0),
		"pread":            second(syscalls.Pread(0, b, 0)),
		"lseek SEEK_DATA":  second(syscalls.SeekData(0, 0)),
		"lseek SEEK_HOLE":  second(syscalls.SeekHole(0, 0)),
		"openat":           second(syscalls.OpenPath(syscalls.AtFdcwd, ".")),
		"openat O_TMPFILE": second(syscalls.Tmpfile(0, 0)),
		"readlink":         second(syscalls.FDPath(0)),
		"close":            syscalls.Close(1 << 30),
		"mmap":             second(syscalls.Mmap(0, 1, false)),
		"mremap":           second(syscalls.MremapDontunmap(b, 0, 2)),
		"munmap":           syscalls.Munmap(b),
		"mincore":          syscalls.Mincore(b, b),
		"fstat":            second(syscalls.FstatSync(0)),
		"fgetxattr user.a": second(syscalls.Fgetxattr(0, "user.a")),
		"fs_ioc_getflags":  second(syscalls.IsNoCOW(0)),
		"fcntl F_GETLEASE": second(syscalls.GetLease(0)),
		"fcntl F_SETLEASE": syscalls.SetLease(0, syscalls.ReadLease),
	} {
		named, ok := err.(*os.SyscallError) //nolint:errorlint // the outermost names the call
		if !ok || named.Syscall != name || !errors.Is(err, errors.ErrUnsupported) ||
			!strings.Contains(err.Error(), "needs Linux") {
			t.Errorf("%s: %v (%T)", name, err, err)
		}
	}
}
