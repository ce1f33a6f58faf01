package mounttest

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest/internal/seccomp"
)

func onThread(tb testing.TB, f func() error) {
	tb.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends
		err := errors.New("mounttest: the function ended the test")
		defer func() { done <- err }()
		err = f()
	}()
	if err := <-done; err != nil {
		tb.Fatal(err)
	}
}

// become makes the calls itself, because those of packages unix and syscall change all threads.
func become(uid, gid int) error {
	for _, call := range []struct {
		name    string
		nr      uintptr
		a, b, c uintptr
	}{
		{"setgroups", unix.SYS_SETGROUPS, 0, 0, 0},
		{"setresgid", unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
		{"setresuid", unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)},
	} {
		if _, _, err := unix.RawSyscall(call.nr, call.a, call.b, call.c); err != 0 {
			return fmt.Errorf("%s: %w", call.name, err)
		}
	}
	return nil
}

func ownMounts() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
}

func hideProc() error {
	if err := ownMounts(); err != nil {
		return err
	}
	return unix.Mount("tmpfs", "/proc", "tmpfs", unix.MS_RDONLY, "")
}

func refuse(call uintptr, errno unix.Errno) error {
	return seccomp.Install([]seccomp.Rule{{Call: call, Errno: errno}})
}

func refuseIf(call uintptr, arg int, value uint32, errno unix.Errno) error {
	condition := seccomp.Condition{Test: seccomp.Equal, Arg: arg, Value: value}
	return seccomp.Install([]seccomp.Rule{{Call: call, If: condition, Errno: errno}})
}
