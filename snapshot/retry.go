package snapshot

import (
	"context"
	"errors"
	"time"
)

// attempts is how often an operation is tried that fails because another process changes a file
// meanwhile. The pauses between the attempts double from a millisecond and add up to half a second.
const attempts = 10

// transient is an error that may not come again.
type transient struct{ error }

func (e transient) Unwrap() error { return e.error }

// again marks an error that may not come again.
func again(err error) error { return transient{err} }

// isTransient reports whether again marked the error.
func isTransient(err error) bool { return errors.As(err, new(transient)) }

// after is the clock of the pauses between attempts.
var after = time.After

// pause waits before attempt i+1, or until the context ends.
func pause(ctx context.Context, i int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-after(time.Millisecond << i):
		return nil
	}
}
