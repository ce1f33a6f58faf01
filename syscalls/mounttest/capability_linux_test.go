package mounttest_test

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A test that needs a capability is skipped without it, with its name, also as root.
//
//promise:mounttest.Need a test without the capability is skipped and names it, as root too
//promise:mounttest.Can Can reports whether the process has a capability
func TestNeed(t *testing.T) {
	mounttest.Need(t, "CAP_CHOWN", "CAP_SETUID")
	for _, missing := range []string{"CAP_CHOWN", "CAP_SETUID"} {
		mounttest.OnThread(t, func() error {
			number := map[string]int{"CAP_CHOWN": unix.CAP_CHOWN, "CAP_SETUID": unix.CAP_SETUID}[missing]
			header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var sets [2]unix.CapUserData
			err := unix.Capget(header, &sets[0])
			sets[number/32].Effective &^= 1 << (number % 32)
			if err := errors.Join(err, unix.Capset(header, &sets[0])); err != nil {
				return err
			}
			if mounttest.Can("CAP_CHOWN", "CAP_SETUID") {
				t.Errorf("without %s: Can says true", missing)
			}
			tb := &fakeTB{TB: t}
			skipped := needOnThisThread(tb)
			if skipped != "no "+missing {
				t.Errorf("without %s: skipped with %q", missing, skipped)
			}
			return nil
		})
	}
	if !mounttest.Can("CAP_CHOWN", "CAP_SETUID") || !mounttest.Can() {
		t.Error("Can says false of what Need has found")
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic for a capability that there is not")
		}
	}()
	mounttest.Can("CAP_CHOWM")
}

// needOnThisThread returns what Need skips with, on the thread of the caller.
func needOnThisThread(tb *fakeTB) (skipped string) {
	defer func() { _ = recover(); skipped = tb.skipped }()
	tb.panics = true
	mounttest.Need(tb, "CAP_CHOWN", "CAP_SETUID")
	return ""
}

// OnThread fails a test whose function ends it, instead of waiting for ever.
//
//promise:mounttest.OnThread if the function ends the test, OnThread fails the test and returns
func TestOnThreadEnded(t *testing.T) {
	fake(t, func(tb testing.TB) {
		mounttest.OnThread(tb, func() error {
			runtime.Goexit()
			return nil
		})
	}).wantFailure(t, "ended the test")
}

// CanSetTrusted says what setxattr(2) does.
//
//promise:mounttest.CanSetTrusted CanSetTrusted agrees with setxattr(2) of trusted.* attributes
func TestCanSetTrusted(t *testing.T) {
	dir := mounttest.Dir(t, mounttest.Known)
	err := unix.Setxattr(create(t, dir, "file").Name(), "trusted.t", []byte("v"), 0)
	if can := mounttest.CanSetTrusted(); can != (err == nil) {
		t.Errorf("%v, but %v", can, err)
	}
}

// Without /proc there is nothing in it, on that thread alone.
//
//promise:mounttest.HideProc /proc is empty and read-only on the thread alone
func TestHideProc(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	mounttest.OnThread(t, func() error {
		if err := mounttest.HideProc(); err != nil {
			return err
		}
		if names, err := os.ReadDir("/proc"); len(names) != 0 || err != nil {
			t.Errorf("%v, %v", names, err)
		}
		if err := os.WriteFile("/proc/file", nil, 0o600); !errors.Is(err, unix.EROFS) {
			t.Error(err)
		}
		return nil
	})
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Error(err)
	}
}
