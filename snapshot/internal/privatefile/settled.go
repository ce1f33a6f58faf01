package privatefile

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

const (
	// grace is how long ago the last change of a file is if no write(2) is taken to be in progress.
	// A write(2) sets the times when it begins, and none when it ends.
	grace = 2 * time.Second

	// longGrace is grace where a process is known to have the file open for writing, or where the
	// times are those of a server, whose clock can differ.
	longGrace = 10 * time.Second

	// clockSkew is by how much clocks of servers are taken to differ from the local one.
	clockSkew = 5 * time.Second
)

// isSettled reports whether every write(2) to src that began before the look that returned before
// has ended. noLease is why there is no lease on src, if so.
//
// A lease proves that, because the kernel grants none while a process has the file open for
// writing, and a write(2) in progress, an asynchronous one too, keeps the file open. A later write
// changes the times.
func isSettled(src Source, before syscalls.Stat, noLease error) bool {
	age := grace
	switch {
	case noLease == nil, errors.Is(noLease, errNeverWritten):
		return true
	case errors.Is(noLease, errOverlay):
		l, err := grantedLease(src)
		if err == nil {
			return l.release()
		}
		if errors.Is(err, syscall.EAGAIN) {
			age = longGrace
		}
	case errors.Is(noLease, syscall.EAGAIN), errors.Is(noLease, errNoLeases):
		age = longGrace
	}
	return !changedWithin(before, age)
}

// hasWriter reports whether src is open for writing or mapped writable now, and a lease could be
// had if it was not.
func hasWriter(src Source) bool {
	l, err := takeLease(src)
	l.release()
	return errors.Is(err, syscall.EAGAIN)
}

// changedWithin reports whether the last change of a file can have been less than d ago. A time
// that is farther than d in the future is not that of a recent change, which would have set the
// present.
func changedWithin(st syscalls.Stat, d time.Duration) bool {
	return time.Since(st.Mtime).Abs() < d || time.Since(st.Ctime).Abs() < d
}

// awaitTick waits until every further change of the file fd shows in its times. before describes
// the file as it was a moment ago: a change that follows another one within a tick of the clock may
// not show. The error is errChanged if the file changed meanwhile.
func awaitTick(ctx context.Context, fd int, before syscalls.Stat, noLease error) error {
	// Not on filesystems with leases whose times are finer than whole seconds: since Linux 6.13 the
	// next change gets a new time even within a tick, because FstatSync has looked at the times.
	// FUSE with a write-back cache goes by the coarse clock.
	tick, coarse := before.Granularity(), errors.Is(noLease, errNoLeases)
	if noLease == nil || errors.Is(noLease, errNeverWritten) || !coarse && tick <= syscalls.ClockTick {
		return nil
	}
	if !changedWithin(before, clockSkew) {
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
