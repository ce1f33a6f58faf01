package mounttest

import "testing"

// Leaks fails the test if, when it ends, this process has more descriptors of any
// file, or more bytes of it mapped, than now, and lists them. Call it first:
// clean-ups run last come first, so it looks after all others. What the garbage
// collector still closes or unmaps within four seconds does not count.
//
// It looks at the whole process, so the test must not run in parallel with others.
// A test that leaks nothing pays a few milliseconds. Off Linux it does nothing.
func Leaks(tb testing.TB) {
	tb.Helper()
	leaks(tb)
}
