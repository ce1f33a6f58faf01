package syscalls_test

import (
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
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

// refused returns what a call comes to whose system call is refused.
func refused(t *testing.T, r refusal, call func() error) (err error) {
	t.Helper()
	mounttest.OnThread(t, func() error {
		if err := r.install(); err != nil {
			return err
		}
		err = call()
		return nil
	})
	return err
}
