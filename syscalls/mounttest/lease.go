package mounttest

import "testing"

// HoldLease takes a write lease on a file until the test ends, as another process could: fcntl(2),
// F_SETLEASE. Meanwhile each open of the file, but one with O_PATH, has to break the lease: it
// waits, or fails with EAGAIN if it has O_NONBLOCK. The file must not be open.
//
// Whenever the kernel asks for the lease, HoldLease calls answer, unless nil, on another goroutine.
// answer may call giveUp, which gives the lease up, or retake, which gives it up and takes it
// again, so that only an open in that instant succeeds. It must not end the test. The function that
// HoldLease returns tells how often the kernel has asked.
//
// The kernel asks by a real-time signal, which HoldLease lets [os/signal.Notify] catch. Off Linux
// it skips the test.
func HoldLease(tb testing.TB, name string, answer func(giveUp, retake func())) (asked func() int) {
	tb.Helper()
	return holdLease(tb, name, answer)
}
