package snapshot

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

const (
	// attempts is how often a file that keeps changing is copied before giving up. The pauses
	// between them double from a millisecond and add up to half a second.
	attempts = 10

	// patience is after how long none is begun any more, but for the second.
	patience = 5 * time.Second
)

// transient is an error that may not come again.
type transient struct{ error }

func (e transient) Unwrap() error { return e.error }

var (
	errChanged = transient{fmt.Errorf("%w: the file changed while it was copied", ErrUnstable)}
	errLost    = transient{fmt.Errorf("%w: a writer waited for too long", ErrUnstable)}
)

// untorn copies src to dst, which is empty, again and again until nobody wrote to it meanwhile.
// The copy may have limit bytes.
func (c Config) untorn(ctx context.Context, dst int, src original, limit int64) (Method, error) {
	w := newCopier(ctx, c.Progress)
	begin := time.Now()
	for i := 0; ; i++ {
		method, err := c.attempt(w, dst, src, limit)
		if _, again := err.(transient); !again || i+1 == attempts || i > 0 && time.Since(begin) > patience {
			return method, err
		}
		if err := sysFtruncate(dst, 0); err != nil {
			return None, err
		}
		if err := pause(ctx, i); err != nil {
			return None, err
		}
	}
}

// attempt copies src to dst, under a lease if one can be had.
func (c Config) attempt(w *copier, dst int, src original, limit int64) (Method, error) {
	l, err := takeLease(src)
	if err != nil && c.RequireConsistent {
		err = fmt.Errorf("%w: %w", ErrUnstable, err)
		if errors.Is(err, syscall.EAGAIN) { // there is a writer now
			err = transient{err}
		}
		return None, err
	}
	defer l.release()
	before, err := sysFstat(src.fd)
	if err != nil {
		return None, err
	}
	if before.Size > limit {
		return None, tooLarge(before.Size)
	}
	w.between = func() error {
		if l.yield(); l.fd < 0 && c.RequireConsistent {
			return errLost
		}
		// Even under a lease: open(2) with O_RDONLY|O_TRUNC truncates in spite of it.
		now, err := sysFstat(src.fd)
		if err == nil && !same(before, now) {
			err = errChanged
		}
		return err
	}
	err = w.copy(dst, src.fd, before.Size, src.own)
	if err == nil {
		err = w.between()
	}
	switch leased := l.release(); {
	case err != nil:
		return None, err
	case leased:
		return LeasedCopy, nil
	case c.RequireConsistent:
		return None, errLost
	}
	return ComparedCopy, nil
}

// same reports whether a file has stayed the same, as far as its attributes tell.
func same(a, b syscalls.Stat) bool {
	return a.Dev == b.Dev && a.Ino == b.Ino && a.Size == b.Size && a.Mtime.Equal(b.Mtime) && a.Ctime.Equal(b.Ctime)
}

// pause waits before attempt i+1, or until the context ends.
func pause(ctx context.Context, i int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Millisecond << i):
		return nil
	}
}
