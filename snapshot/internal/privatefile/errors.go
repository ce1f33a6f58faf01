package privatefile

import (
	"errors"
	"fmt"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
)

var (
	ErrUnstable    = errors.New("no consistent copy could be made")
	errChanged     = retry.Transient(fmt.Errorf("%w: the file changed while it was copied", ErrUnstable))
	errLeaseBroken = retry.Transient(fmt.Errorf("%w: a writer waited for too long", ErrUnstable))
	errShort       = retry.Transient(fmt.Errorf("%w: the file ended before its size", ErrUnstable))
	errWriterLeft  = retry.Transient(fmt.Errorf("%w: a writer closed the file", ErrUnstable))
	errSizeUnknown = pathname.ErrSizeUnknown
)

// A writeErr is one of the file that is written: what is read is as good as it was.
type writeErr struct{ error }

func (e writeErr) Unwrap() error { return e.error }

// WriteError marks an error as one of the file that is written.
func WriteError(err error) error { return writeErr{err} }

// IsWriteError reports whether WriteError marked the error.
func IsWriteError(err error) bool { return errors.As(err, new(writeErr)) }
