package privatefile

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

const (
	// leaseTries is how often a lease is tried for where there need not be one: for 7 ms in all.
	leaseTries = 4

	// maxRetryTime is after how long none is begun any more, but for the second.
	maxRetryTime = 5 * time.Second
)

// A result is how a copy was made, and whether it is settled: see File.
type result struct {
	method  Method
	settled bool
}

// A fillFunc copies the first size bytes of a file, in place of what it copied when it was called
// before.
type fillFunc func(w *Copier, size int64) error

// copyStable has fill copy src again and again until no process wrote to it meanwhile.
func (o Options) copyStable(ctx context.Context, src Source, fill fillFunc) (result, error) {
	w := NewCopier(ctx, o.Progress)
	begin, left := time.Now(), false
	for i := 0; ; i++ {
		l, noLease := o.lease(ctx, src)
		r, err := o.copyOnce(w, src, fill, l, noLease)
		last := i+1 == retry.Attempts || i > 0 && time.Since(begin) > maxRetryTime
		// A write(2) that was in progress when the copy began does not change the times any more,
		// and can have ended in the middle of the copy. Only another copy has all of it.
		if err == nil && !last && !left && errors.Is(noLease, syscall.EAGAIN) && !hasWriter(src) {
			left, err = true, errWriterLeft
		}
		if !retry.IsTransient(err) || last {
			return r, err
		}
		if err := retry.Pause(ctx, i); err != nil {
			return result{}, err
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

// copyOnce has fill copy src, under the lease l, or without one for the reason noLease. It gives the
// lease up.
func (o Options) copyOnce(
	w *Copier, src Source, fill fillFunc, l lease, noLease error,
) (result, error) {
	defer l.release()
	if noLease != nil && o.RequireConsistent {
		return result{}, noLeaseError{noLease}
	}
	// Of what a server says now: by its own attributes, of some seconds ago, the kernel could miss
	// all that other machines do. If these are new it forgets old data, too.
	before, err := sys.FstatSync(src.FD)
	if err != nil {
		return result{}, err
	}
	if err := awaitTick(w.ctx, src.FD, before, noLease); err != nil {
		return result{}, err
	}
	settled := isSettled(src, before, noLease)
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
	misreported := errors.Is(err, errShort)
	if err == nil {
		var more int
		more, err = sys.Pread(src.FD, make([]byte, 1), before.Size)
		misreported = more > 0
	}
	if err == nil || misreported {
		err = w.check()
	}
	if err == nil && misreported { // no process wrote to it: it is a file of /sys, or the like
		err = errSizeUnknown
	}
	switch leased := l.release(); {
	case err != nil:
		return result{}, err
	case leased:
		return result{leasedCopy, true}, nil
	case o.RequireConsistent:
		return result{}, errLeaseBroken
	}
	return result{comparedCopy, settled}, nil
}
