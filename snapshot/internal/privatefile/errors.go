package privatefile

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
)

var (
	ErrUnstable    = errors.New("no consistent copy")
	errChanged     = unstable("the file changed while it was copied")
	errLeaseBroken = unstable("another process waited too long to open the file for writing")
	errShort       = unstable("the file is shorter than its size")
	errWriterLeft  = unstable("a process closed the file after writing to it")
	errSizeUnknown = pathname.ErrSizeUnknown
)

// unstable returns ErrUnstable with a reason. Another attempt can succeed.
func unstable(reason string) error {
	return retry.Transient(fmt.Errorf("%w: %s", ErrUnstable, reason))
}

// A writeErr is one of the file that is written: what is read is as good as it was.
type writeErr struct{ error }

func (e writeErr) Unwrap() error { return e.error }

// WriteError marks an error as one of the file that is written.
func WriteError(err error) error { return writeErr{err} }

// IsWriteError reports whether WriteError marked the error.
func IsWriteError(err error) bool { return errors.As(err, new(writeErr)) }

// A noLeaseError is ErrUnstable where a lease is required, for the reason that it wraps.
type noLeaseError struct{ reason error }

func (e noLeaseError) Unwrap() []error { return []error{ErrUnstable, e.reason} }

func (e noLeaseError) Error() string {
	text := e.reason.Error()
	switch {
	case errors.Is(e.reason, syscall.EAGAIN):
		text = "the file is open for writing"
	case errors.Is(e.reason, syscall.EACCES):
		text = "a lease on a file of another user needs CAP_LEASE"
	}
	return ErrUnstable.Error() + ": " + text
}
