package publish

import (
	"errors"
	"fmt"
)

var (
	ErrConflict   = errors.New("conflicting change")
	ErrNotDurable = errors.New("committed, but perhaps not durable")

	errChanged = fmt.Errorf("%w: the file was changed since it was opened or last committed", ErrConflict)
	errMoved   = fmt.Errorf("%w: the name does not lead to the file that was opened or last committed", ErrConflict)

	errChanging = fmt.Errorf("%w: owner, mode or attributes of the file change all the time", ErrConflict)
)

// syncError is an error of fsync(2) of the file that was to be published.
type syncError struct{ error }

func (e syncError) Unwrap() error { return e.error }

// IsSyncError reports whether the contents of the file did not reach the disk.
func IsSyncError(err error) bool { return errors.As(err, new(syncError)) }
