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
		if err != syscall.EINTR { //nolint:errorlint // a raw errno
			return &os.SyscallError{Syscall: name, Err: err}
		}
	}
}

// meaning is an errno that means, for one operation, what the standard library has an error
// for, although the errno has other meanings elsewhere.
type meaning struct {
	errno syscall.Errno
	err   error
}

func (m meaning) Error() string        { return m.errno.Error() }
func (m meaning) Unwrap() error        { return m.errno }
func (m meaning) Is(target error) bool { return target == m.err }

// orUnsupported marks err as [errors.ErrUnsupported] if it is one of the errnos given. ENOSYS,
// ENOTSUP and EOPNOTSUPP are that without being marked: see [syscall.Errno.Is].
func orUnsupported(err error, errnos ...syscall.Errno) error {
	return mark(err, errors.ErrUnsupported, errnos...)
}

func mark(err, means error, errnos ...syscall.Errno) error {
	if errno, ok := err.(syscall.Errno); ok && slices.Contains(errnos, errno) { //nolint:errorlint // a raw errno only: one that is wrapped has its meaning
		return meaning{errno, means}
	}
	return err
}
