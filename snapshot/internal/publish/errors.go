package publish

import "errors"

var (
	ErrConflict   = errors.New("file was changed by someone else")
	ErrNotDurable = errors.New("committed, but perhaps not durable")
)

// syncError is an error of fsync(2) of the file that was to be published.
type syncError struct{ error }

func (e syncError) Unwrap() error { return e.error }

// IsSyncError reports whether the contents of the file did not reach the disk.
func IsSyncError(err error) bool { return errors.As(err, new(syncError)) }
