package syscalls

import (
	"syscall"
	"time"
)

// ReadLeaseSignal takes a read lease on a regular file, as [SetLease] does, and has the kernel send
// a signal to one thread of this process when another process opens the file for writing: F_SETSIG,
// F_SETOWN_EX and F_SETLEASE, fcntl_locking(2). The errors are those of SetLease.
//
// The thread is one that [BlockSignal] returned. No other thread gets the signal, so no handler of
// the program does. If the thread has ended, the error is ESRCH. Giving the lease up by SetLease
// does not change what the descriptor is told.
func ReadLeaseSignal(fd, thread, signal int) error {
	return do("fcntl F_SETLEASE", func() error {
		return orUnsupported(readLeaseSignal(fd, thread, signal), syscall.EINVAL)
	})
}

// BlockSignal keeps a signal from being delivered to the calling thread, and returns the number of
// the thread: rt_sigprocmask(2), gettid(2). It blocks SIGIO as well, which the kernel sends in place
// of a real-time signal that RLIMIT_SIGPENDING does not let it queue. The goroutine must be locked to
// the thread, and stay locked until it ends, because the Go runtime knows nothing of that. If the
// thread is the first of the process, which the runtime does not end with the goroutine, BlockSignal
// blocks nothing, and the error is EBUSY.
func BlockSignal(signal int) (thread int, err error) {
	thread = -1
	err = do("rt_sigprocmask", func() (err error) {
		thread, err = blockSignal(signal)
		return err
	})
	return thread, err
}

// AwaitSignal waits until a signal that the calling thread has blocked is pending, and takes it:
// rt_sigtimedwait(2). If none comes within the timeout, the error is EAGAIN. Other signals that the
// thread gets meanwhile do not make the timeout longer. AwaitSignal also takes such a signal that was
// sent to the process as a whole: no handler of the program gets it then.
func AwaitSignal(signal int, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	return do("rt_sigtimedwait", func() error {
		return awaitSignal(signal, max(0, time.Until(deadline)))
	})
}
