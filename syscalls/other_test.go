//go:build !linux

package syscalls_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// Off Linux, every function that needs the kernel says so, and that another way must be found.
func TestOther(t *testing.T) {
	b := make([]byte, 1)
	for name, err := range map[string]error{
		"Ficlone":          syscalls.Ficlone(0, 0),
		"CopyFileRange":    second(syscalls.CopyFileRange(0, 0, 0, 0, 1)),
		"DedupeRange":      second(syscalls.DedupeRange(0, 0, 0, 1)),
		"SeekData":         second(syscalls.SeekData(0, 0)),
		"SeekHole":         second(syscalls.SeekHole(0, 0)),
		"Pread":            second(syscalls.Pread(0, b, 0)),
		"Pwrite":           second(syscalls.Pwrite(0, b, 0)),
		"PunchHole":        syscalls.PunchHole(0, 0, 1),
		"Ftruncate":        syscalls.Ftruncate(0, 0),
		"Mincore":          syscalls.Mincore(b, b),
		"Mmap":             second(syscalls.Mmap(0, 1, false)),
		"Mremap":           second(syscalls.Mremap(b, 2)),
		"MremapDontunmap":  second(syscalls.MremapDontunmap(b, 0, 2)),
		"Munmap":           syscalls.Munmap(b),
		"Msync":            syscalls.Msync(b),
		"Poison":           syscalls.Poison(b),
		"Mprotect":         syscalls.Mprotect(b, true, true),
		"Populate":         syscalls.Populate(b, true),
		"OpenPath":         second(syscalls.OpenPath(syscalls.AtFdcwd, ".")),
		"OpenDir":          second(syscalls.OpenDir(syscalls.AtFdcwd, ".")),
		"Reopen":           second(syscalls.Reopen(0)),
		"FdPath":           second(syscalls.FdPath(0)),
		"ReopenWritable":   second(syscalls.ReopenWritable(0)),
		"Extents":          second(syscalls.Extents(0, 0, 1)),
		"Funlock":          syscalls.Funlock(0),
		"OpenRead":         second(syscalls.OpenRead(0, "none")),
		"OpenReadWrite":    second(syscalls.OpenReadWrite(0, "none")),
		"SetNoAtime":       syscalls.SetNoAtime(0),
		"Capable":          second(syscalls.Capable(syscalls.CapFsetid)),
		"Memfd":            second(syscalls.Memfd("none")),
		"Seal":             syscalls.Seal(0),
		"FsType":           second(syscalls.FsType(0)),
		"ReopenDir":        second(syscalls.ReopenDir(0)),
		"Tmpfile":          second(syscalls.Tmpfile(0, 0)),
		"TmpfileExcl":      second(syscalls.TmpfileExcl(0, 0)),
		"Linkat":           syscalls.Linkat(0, 0, "none"),
		"Readlinkat":       second(syscalls.Readlinkat(0)),
		"Renameat":         syscalls.Renameat(0, "none", "none"),
		"CreateExcl":       second(syscalls.CreateExcl(0, "none", 0)),
		"RenameNoReplace":  syscalls.RenameNoReplace(0, "none", "none"),
		"Unlinkat":         syscalls.Unlinkat(0, "none"),
		"CanWrite":         syscalls.CanWrite(0, 0, "none"),
		"Close":            syscalls.Close(1 << 30),
		"Fstat":            second(syscalls.Fstat(0)),
		"FstatSync":        second(syscalls.FstatSync(0)),
		"Fchown":           syscalls.Fchown(0, 0, 0),
		"Fchmod":           syscalls.Fchmod(0, 0),
		"Flistxattr":       second(syscalls.Flistxattr(0)),
		"Fgetxattr":        second(syscalls.Fgetxattr(0, "user.a")),
		"Fsetxattr":        syscalls.Fsetxattr(0, "user.a", nil),
		"Fremovexattr":     syscalls.Fremovexattr(0, "user.a"),
		"Nocow":            second(syscalls.Nocow(0)),
		"SetNocow":         syscalls.SetNocow(0, true),
		"Readable":         second(syscalls.Readable(0)),
		"AppendOnly":       second(syscalls.AppendOnly(0)),
		"Fsync":            syscalls.Fsync(0),
		"WritebackAndWait": syscalls.WritebackAndWait(0),
		"WritebackError":   syscalls.WritebackError(0),
		"SetLease":         syscalls.SetLease(0, syscalls.ReadLease),
		"GetLease":         second(syscalls.GetLease(0)),
		"TryFlock":         syscalls.TryFlock(0),
	} {
		_, named := err.(*os.SyscallError)
		if !named || !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "needs Linux") {
			t.Errorf("%s: %v (%T)", name, err, err)
		}
	}
}
