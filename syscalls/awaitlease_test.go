package syscalls_test

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// errLeased is the error of an open of package os, or of this package, beside a lease.
var errLeased = os.NewSyscallError("openat", syscall.EAGAIN)

// An open that succeeds, or fails with another error than EAGAIN, is called once, whatever became
// of the context.
//
//promise:syscalls.AwaitLease without EAGAIN open is called once, and nothing is allocated
func TestAwaitLeaseWithoutLease(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, want := range []error{nil, syscall.ENOENT} {
		calls := 0
		fd, err := syscalls.AwaitLease(ended, func() (int, error) {
			calls++
			return 7, want
		})
		if fd != 7 || !errors.Is(err, want) || calls != 1 {
			t.Errorf("descriptor %d, %v, after %d calls", fd, err, calls)
		}
	}
	open := func() (int, error) { return 7, nil }
	if n := testing.AllocsPerRun(100, func() { _, _ = syscalls.AwaitLease(ended, open) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// While open fails with EAGAIN it is called again, after pauses that grow from a millisecond to 64
// and never beyond MaxLeaseWait. The error then says what is wrong.
//
//promise:syscalls.AwaitLease the pauses between the calls grow from 1 ms to 64 ms
//promise:syscalls.AwaitLease after MaxLeaseWait the error names the lease and is EAGAIN
//promise:syscalls.MaxLeaseWait no call begins later than MaxLeaseWait after the first one
func TestAwaitLeaseThatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var calls []time.Duration
		fd, err := syscalls.AwaitLease(t.Context(), func() (int, error) {
			calls = append(calls, time.Since(begin))
			return -1, errLeased
		})
		want := "another process holds a lease on the file: " + errLeased.Error()
		if fd != -1 || !errors.Is(err, syscall.EAGAIN) || err.Error() != want {
			t.Errorf("descriptor %d, %v", fd, err)
		}
		if now := time.Since(begin); now != syscalls.MaxLeaseWait || calls[len(calls)-1] != now {
			t.Errorf("the last call was after %v, the end after %v", calls[len(calls)-1], now)
		}
		pause := time.Millisecond
		for i := range calls[:len(calls)-2] {
			if got := calls[i+1] - calls[i]; got != pause {
				t.Errorf("pause %d is %v, want %v", i, got, pause)
			}
			pause = min(2*pause, 64*time.Millisecond)
		}
	})
}

// As soon as open does not fail with EAGAIN, its results are returned.
//
//promise:syscalls.AwaitLease AwaitLease returns what open returns when the lease is gone
func TestAwaitLeaseThatEnds(t *testing.T) {
	for _, want := range []error{nil, syscall.ENOENT} {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			fd, err := syscalls.AwaitLease(t.Context(), func() (int, error) {
				if calls++; calls < 5 {
					return -1, errLeased
				}
				return 7, want
			})
			if fd != 7 || !errors.Is(err, want) || calls != 5 {
				t.Errorf("descriptor %d, %v, after %d calls", fd, err, calls)
			}
		})
	}
}

// A context that ends, or has ended, ends the wait with its error.
//
//promise:syscalls.AwaitLease a context that ends during a pause ends the wait with its error
func TestAwaitLeaseUntilContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		for _, again := range []bool{true, false} { // the second time, the context has ended
			calls := 0
			fd, err := syscalls.AwaitLease(ctx, func() (int, error) {
				calls++
				return -1, errLeased
			})
			if fd != -1 || !errors.Is(err, context.DeadlineExceeded) || (calls > 1) != again {
				t.Errorf("descriptor %d, %v, after %d calls", fd, err, calls)
			}
			if now := time.Since(begin); now != 200*time.Millisecond {
				t.Errorf("it took %v", now)
			}
		}
	})
}
