package retry

import (
	"context"
	"errors"
	"time"
)

// Attempts is how often an operation is tried that fails because another process changes a file
// meanwhile. The pauses between the attempts double from a millisecond and add up to half a second.
const Attempts = 10

// transient is an error that may not come again.
type transient struct{ error }

func (e transient) Unwrap() error { return e.error }

// Transient marks an error that may not come again.
func Transient(err error) error { return transient{err} }

// IsTransient reports whether Transient marked the error.
func IsTransient(err error) bool { return errors.As(err, new(transient)) }

// After is the clock of the pauses between attempts.
var After = time.After

// Pause waits before attempt i+1, or until the context ends.
func Pause(ctx context.Context, i int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-After(time.Millisecond << i):
		return nil
	}
}

// Do calls op again, after a pause, as long as its error is transient: Attempts times at most, and
// until the context ends.
func Do(ctx context.Context, op func() error) error {
	for i := 0; ; i++ {
		err := op()
		if !IsTransient(err) || i+1 == Attempts {
			return err
		}
		if err := Pause(ctx, i); err != nil {
			return err
		}
	}
}
