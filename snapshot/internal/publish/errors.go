package publish

import "errors"

var (
	ErrConflict   = errors.New("file was changed by someone else")
	ErrNotDurable = errors.New("committed, but perhaps not durable")
)
