package privatefile

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

const (
	// leaseTries is how often a lease is tried for where there need not be one: for 7 ms in all.
	leaseTries = 4

	// maxRetryTime is after how long none is begun any more, but for the second.
	maxRetryTime = 5 * time.Second
)

// A fillFunc copies the first size bytes of a file, in place of what it copied when it was called
// before.
type fillFunc func(w *Copier, size int64) error

// copyStable has fill copy src again and again until no process wrote to it meanwhile.
func (o Options) copyStable(ctx context.Context, src Source, fill fillFunc) (Method, error) {
	w := NewCopier(ctx, o.Progress)
	begin := time.Now()
	for i := 0; ; i++ {
		method, err := o.copyOnce(w, src, fill)
		if !retry.IsTransient(err) || i+1 == retry.Attempts || i > 0 && time.Since(begin) > maxRetryTime {
			return method, err
		}
		if err := retry.Pause(ctx, i); err != nil {
			return none, err
		}
	}
}

// lease takes a lease on src. If a process has the file open for writing, lease retries: the process may
// close the file soon, and nothing else distinguishes a finished save from a pause between two writes.
func (o Options) lease(ctx context.Context, src Source) (lease, error) {
	tries := leaseTries
	if o.RequireConsistent {
		tries = retry.Attempts
	}
	for i := 1; ; i++ {
		l, err := takeLease(src)
		if !errors.Is(err, syscall.EAGAIN) || i == tries {
			return l, err
		}
		if err := retry.Pause(ctx, i-1); err != nil {
			return l, err
		}
	}
}

// copyOnce has fill copy src, under a lease if one can be had.
func (o Options) copyOnce(w *Copier, src Source, fill fillFunc) (Method, error) {
	l, noLease := o.lease(w.ctx, src)
	if noLease != nil && o.RequireConsistent {
		return none, fmt.Errorf("%w: %w", ErrUnstable, noLease)
	}
	defer l.release()
	// Of what a server says now: by its own attributes, of some seconds ago, the kernel could miss
	// all that other machines do. If these are new it forgets old data, too.
	before, err := sys.FstatSync(src.FD)
	if err != nil {
		return none, err
	}
	// Not on filesystems with leases whose times are finer than whole seconds: since Linux 6.13 the
	// next change gets a new time even within a tick, because FstatSync has looked at the times.
	// FUSE with a write-back cache goes by the coarse clock.
	tick, coarse := before.Granularity(), errors.Is(noLease, errNoLeases)
	if noLease != nil && (coarse || tick > syscalls.ClockTick) {
		if err := waitForTick(w.ctx, src.FD, before, tick); err != nil {
			return none, err
		}
	}
	w.check = func() error {
		if l.releaseIfContended(); l.fd < 0 && o.RequireConsistent {
			return errLeaseBroken
		}
		// Even under a lease: open(2) with O_RDONLY|O_TRUNC truncates in spite of it.
		now, err := sys.FstatSync(src.FD)
		if err == nil && !pathname.SameVersion(before, now) {
			err = errChanged
		}
		return err
	}
	err = fill(w, before.Size)
	more := 0
	if err == nil {
		more, _ = sys.Pread(src.FD, make([]byte, 1), before.Size)
		err = w.check()
	}
	if err == nil && more > 0 { // nobody appended: it is a file of /proc, or the like
		err = errSizeUnknown
	}
	switch leased := l.release(); {
	case err != nil:
		return none, err
	case leased:
		return leasedCopy, nil
	case o.RequireConsistent:
		return none, errLeaseBroken
	}
	return comparedCopy, nil
}

// waitForTick waits until every further change of the file fd shows in its times. before describes
// the file as it was a moment ago: a change that follows another one within tick does not show. The
// error is errChanged if the file changed meanwhile. Clocks of servers may differ from the local
// one by some seconds.
func waitForTick(ctx context.Context, fd int, before syscalls.Stat, tick time.Duration) error {
	const apart = 5 * time.Second
	if time.Since(before.Mtime) > apart && time.Since(before.Ctime) > apart {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(tick):
	}
	now, err := sys.FstatSync(fd)
	if err == nil && !pathname.SameVersion(before, now) {
		err = errChanged
	}
	return err
}
