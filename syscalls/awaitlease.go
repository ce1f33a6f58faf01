package syscalls

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// MaxLeaseWait is the longest time for which [AwaitLease] calls open again.
const MaxLeaseWait = 2 * time.Second

// maxLeasePause is the longest pause between two calls: a lease that is given up is noticed soon.
const maxLeasePause = 64 * time.Millisecond

// AwaitLease calls open until it does not fail with EAGAIN any more, and returns the results of the
// last call. [Reopen] and [OpenRead], and an open of package os with syscall.O_NONBLOCK, fail so
// while another process has a lease that excludes them; each call asks that process again to give
// the lease up. The pauses between the calls grow from one millisecond to 64.
//
// If the context ends during a pause, the error is that of the context. If open still fails after
// [MaxLeaseWait], the error says that another process holds a lease; errors.Is finds EAGAIN in it.
// An open without O_NONBLOCK would wait in the kernel for /proc/sys/fs/lease-break-time (45 s), and
// again each time that the process takes the lease anew.
//
// If the first call does not fail with EAGAIN, AwaitLease does not look at the context, takes no
// time of its own and allocates nothing.
func AwaitLease[T any](ctx context.Context, open func() (T, error)) (T, error) {
	file, err := open()
	if err == nil || !errors.Is(err, syscall.EAGAIN) {
		return file, err
	}
	deadline := time.Now().Add(MaxLeaseWait)
	next := time.Millisecond
	pause := time.NewTimer(next)
	defer pause.Stop()
	for errors.Is(err, syscall.EAGAIN) {
		left := time.Until(deadline)
		if left <= 0 {
			return file, fmt.Errorf("another process holds a lease on the file: %w", err)
		}
		if ctx.Err() != nil {
			return file, ctx.Err()
		}
		pause.Reset(min(next, left))
		next = min(2*next, maxLeasePause)
		select {
		case <-ctx.Done():
			return file, ctx.Err()
		case <-pause.C:
		}
		file, err = open()
	}
	return file, err
}
