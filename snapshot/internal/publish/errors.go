package publish

import (
	"errors"
	"fmt"
)

var (
	ErrConflict   = errors.New("conflicting change")
	ErrNotDurable = errors.New("committed, but perhaps not durable")

	errChanged  = conflict("the file was changed since it was opened or last committed")
	errMoved    = conflict("the name does not lead to the file that was opened or last committed")
	errChanging = conflict("owner, mode or attributes of the file change all the time")
)

// conflict returns ErrConflict with a reason.
func conflict(reason string) error { return fmt.Errorf("%w: %s", ErrConflict, reason) }

// syncError is an error of fsync(2) of the file that was to be published.
type syncError struct{ error }

func (e syncError) Unwrap() error { return e.error }

// IsSyncError reports whether the contents of the file did not reach the disk.
func IsSyncError(err error) bool { return errors.As(err, new(syncError)) }
