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

// classified is an errno that, for one operation, is also an error of the standard library. Other
// operations give the errno another meaning.
type classified struct {
	errno syscall.Errno
	class error
}

func (c classified) Error() string        { return c.errno.Error() }
func (c classified) Unwrap() error        { return c.errno }
func (c classified) Is(target error) bool { return target == c.class }

// orUnsupported classifies err as [errors.ErrUnsupported] if it is one of the errnos. ENOSYS,
// ENOTSUP and EOPNOTSUPP are ErrUnsupported anyway: see [syscall.Errno.Is].
func orUnsupported(err error, errnos ...syscall.Errno) error {
	return classify(err, errors.ErrUnsupported, errnos...)
}

// classify returns err with the class if err is one of the errnos, and err itself if not.
func classify(err, class error, errnos ...syscall.Errno) error {
	// A wrapped errno has its class already.
	if errno, ok := err.(syscall.Errno); ok && slices.Contains(errnos, errno) { //nolint:errorlint
		return classified{errno, class}
	}
	return err
}
