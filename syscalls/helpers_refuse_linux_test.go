package syscalls_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// A refusal is a system call that fails, as on another kernel or in a sandbox.
type refusal struct {
	nr    uintptr
	arg   int    // which argument must have the value, or -1
	value uint32 // the lower half of it
	errno syscall.Errno
}

func (r refusal) install() error {
	if r.arg < 0 {
		return mounttest.Refuse(r.nr, r.errno)
	}
	return mounttest.RefuseIf(r.nr, r.arg, r.value, r.errno)
}

// refused returns what a call comes to whose system call is refused, and others beside it.
func refused(t *testing.T, r refusal, call func() error, others ...refusal) (err error) {
	t.Helper()
	mounttest.OnThread(t, func() error {
		for _, one := range append(others, r) {
			if err := one.install(); err != nil {
				return err
			}
		}
		err = call()
		return nil
	})
	return err
}

// probes make calls that not every kernel has, and that sandboxes refuse, with arguments for which
// a kernel that has them returns nothing or another errno than those in lacks.
var probes = map[string]func(t *testing.T) error{
	"copy_file_range": func(*testing.T) error {
		_, err := unix.CopyFileRange(-1, nil, -1, nil, 0, 0)
		return err
	},
	"FICLONE": func(t *testing.T) error { // only a file's filesystem knows whether it has the ioctl
		dir := mounttest.Dir(t, mounttest.Host)
		return unix.IoctlFileClone(newFile(t, dir, "dst", nil), newFile(t, dir, "src", nil))
	},
	"openat2": func(*testing.T) error {
		_, err := unix.Openat2(-1, "x", &unix.OpenHow{Flags: unix.O_PATH})
		return err
	},
	"renameat2": func(*testing.T) error { return unix.Renameat2(-1, "x", -1, "y", 0) },
	"statx":     func(*testing.T) error { return unix.Statx(-1, "x", 0, 0, new(unix.Statx_t)) },
}

// lacks reports whether this kernel lacks a call, or a sandbox refuses it.
func lacks(t *testing.T, call string) bool {
	t.Helper()
	err := probes[call](t)
	return errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTTY)
}

// needCall skips a test of a call that this kernel lacks.
func needCall(t *testing.T, call string) {
	t.Helper()
	if lacks(t, call) {
		t.Skip("this kernel has no " + call)
	}
}
