package mounttest_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// thread returns the lines of /proc/thread-self/status that begin with one of the names.
func thread(t *testing.T, names ...string) string {
	t.Helper()
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Error(err)
	}
	var lines []string
	for line := range strings.Lines(string(status)) {
		for _, name := range names {
			if strings.HasPrefix(line, name+":") {
				lines = append(lines, strings.Join(strings.Fields(line), " "))
			}
		}
	}
	return strings.Join(lines, "\n")
}

// Become changes user, groups and capabilities of the thread and of no other.
//
//promise:mounttest.Become the thread alone gets user and group, no other group, no capability
func TestBecome(t *testing.T) {
	mounttest.Need(t, "CAP_SETUID", "CAP_SETGID")
	names := []string{"Uid", "Gid", "Groups", "CapPrm", "CapEff"}
	before := thread(t, names...)
	mounttest.OnThread(t, func() error {
		group := uint32(3456) // for Become to drop; package unix would set it for all threads
		at := uintptr(unsafe.Pointer(&group))
		if _, _, err := unix.RawSyscall(unix.SYS_SETGROUPS, 1, at, 0); err != 0 {
			return err
		}
		if err := mounttest.Become(1234, 2345); err != nil {
			return err
		}
		want := "Uid: 1234 1234 1234 1234\nGid: 2345 2345 2345 2345\nGroups:\n" +
			"CapPrm: 0000000000000000\nCapEff: 0000000000000000"
		if got := thread(t, names...); got != want {
			t.Errorf("the thread has\n%s\nwant\n%s", got, want)
		}
		return nil
	})
	if after := thread(t, names...); after != before {
		t.Errorf("another thread has\n%s\nand had\n%s", after, before)
	}
}

// After OwnMounts the thread mounts a filesystem that no other thread sees.
//
//promise:mounttest.OwnMounts a mount of the thread shows on no other thread
func TestOwnMounts(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	mounttest.OnThread(t, func() error {
		err := errors.Join(
			mounttest.OwnMounts(),
			unix.Mount("tmpfs", dir, "tmpfs", 0, ""),
			os.WriteFile(name, nil, 0o600),
		)
		if err != nil {
			return err
		}
		done := make(chan error)
		go func() { // on another thread
			_, err := os.Lstat(name)
			done <- err
		}()
		if err := <-done; !errors.Is(err, os.ErrNotExist) {
			t.Errorf("another thread sees the mount: %v", err)
		}
		return nil
	})
	if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mount is left: %v", err)
	}
}

// A refused call fails with the errno, on this thread alone; one that is refused for a value of an
// argument works with other values.
//
//promise:mounttest.Refuse the call fails with the errno on the thread alone
//promise:mounttest.RefuseIf the call fails if its argument has the value, and works otherwise
func TestRefuse(t *testing.T) {
	// No part of the runtime and of package testing makes this call.
	priority := func(which int) error {
		_, err := unix.Getpriority(which, 0)
		return err
	}
	want := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	mounttest.OnThread(t, func() error {
		err := mounttest.RefuseIf(unix.SYS_GETPRIORITY, 0, unix.PRIO_USER, unix.ENOSYS)
		if err != nil {
			return err
		}
		want("an argument with the value", priority(unix.PRIO_USER), unix.ENOSYS)
		want("an argument with another value", priority(unix.PRIO_PROCESS), nil)
		if err := mounttest.Refuse(unix.SYS_GETPRIORITY, unix.EOPNOTSUPP); err != nil {
			return err
		}
		want("the refused call", priority(unix.PRIO_PROCESS), unix.EOPNOTSUPP)
		done := make(chan error)
		go func() { done <- priority(unix.PRIO_USER) }() // on another thread
		want("another thread", <-done, nil)
		return nil
	})
}
