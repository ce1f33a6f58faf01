package syscalls_test

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// onThread runs f on a thread of its own that ends with it, so that f may change what it likes
// about the thread: its user, its mounts, what system calls it may make. A test helper that
// ends the test must not be called from f.
func onThread(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends
		done <- f()
	}()
	must(t, <-done)
}

// ownMounts gives the thread mounts of its own, to change as it likes.
func ownMounts() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
}

// A refusal is a system call that fails, as on another kernel or in a sandbox.
type refusal struct {
	nr    uintptr
	arg   int    // which argument must have the value, or -1
	value uint32 // the lower half of it
	errno syscall.Errno
}

// refuse makes the system call fail on this thread from now on: a seccomp filter.
func refuse(r refusal) error {
	const data = 16 // where the arguments begin in struct seccomp_data, little-endian, eight bytes each
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(r.nr), Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: data + 8*uint32(max(r.arg, 0))},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: r.value, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(r.errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if r.arg < 0 {
		filter[2] = unix.SockFilter{Code: unix.BPF_LD | unix.BPF_IMM, K: r.value}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return nil
}

// refused returns what a call comes to whose system call is refused.
func refused(t *testing.T, r refusal, call func() error) (err error) {
	t.Helper()
	onThread(t, func() error {
		if err := refuse(r); err != nil {
			return err
		}
		err = call()
		return nil
	})
	return err
}
