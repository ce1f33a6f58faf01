package syscalls

import (
	"errors"
	"os"
	"slices"
	"syscall"
)

// do makes one system call, again as long as a signal interrupts it, and names it in the error.
func do(name string, call func() error) error {
	for {
		err := call()
		if err == nil {
			return nil
		}
		if err != syscall.EINTR {
			return &os.SyscallError{Syscall: name, Err: err}
		}
	}
}

// unsupported is an errno by which the kernel says, for one operation, "cannot be done here",
// although the errno has other meanings elsewhere.
type unsupported struct{ errno syscall.Errno }

func (u unsupported) Error() string        { return u.errno.Error() }
func (u unsupported) Unwrap() error        { return u.errno }
func (u unsupported) Is(target error) bool { return target == errors.ErrUnsupported }

// orUnsupported marks err as [errors.ErrUnsupported] if it is one of the errnos given. ENOSYS,
// ENOTSUP and EOPNOTSUPP are that without being marked: see [syscall.Errno.Is].
func orUnsupported(err error, errnos ...syscall.Errno) error {
	if errno, ok := err.(syscall.Errno); ok && slices.Contains(errnos, errno) {
		return unsupported{errno}
	}
	return err
}
