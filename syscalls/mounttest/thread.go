package mounttest

import (
	"syscall"
	"testing"
)

// OnThread runs f on a thread of its own that ends with it, so that f may change what it likes
// about the thread: its user ([Become]), its mounts ([OwnMounts]), what system calls it may make
// ([Refuse]). It fails the test if f returns an error; f must not end the test itself.
func OnThread(tb testing.TB, f func() error) {
	tb.Helper()
	onThread(tb, f)
}

// Become makes the thread one of another user and group, in no other group. Unless uid is 0, it
// has no capabilities afterwards. Both numbers are less than 65535. Other threads keep their user.
// Call it in [OnThread].
func Become(uid, gid int) error { return become(uid, gid) }

// HideProc gives the thread mounts of its own, with an empty, read-only directory as /proc. It needs
// CAP_SYS_ADMIN. Call it in [OnThread].
func HideProc() error { return hideProc() }

// OwnMounts gives the thread mounts of its own, to change as it likes. It needs CAP_SYS_ADMIN. Call
// it in [OnThread].
func OwnMounts() error { return ownMounts() }

// Refuse makes a system call fail on this thread from now on, by a seccomp filter, as it would on
// another kernel or in a sandbox. On a 32-bit system the 64-bit form of the call (fcntl64, fstat64,
// fstatfs64, ftruncate64, _llseek) is refused, too. It needs no privilege and sets no_new_privs. Call
// it in [OnThread], as often as needed.
func Refuse(call uintptr, errno syscall.Errno) error { return refuse(call, errno) }

// RefuseIf is like [Refuse], for calls in which that argument, counted from 0, has the value in its
// lower half.
func RefuseIf(call uintptr, arg int, value uint32, errno syscall.Errno) error {
	return refuseIf(call, arg, value, errno)
}
