package mounttest_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// The lease makes opens wait, answer is called when one asks for it, and the lease ends with the
// test.
//
//promise:mounttest.HoldLease an open has to break the lease, which ends with the test
//promise:mounttest.HoldLease answer is called whenever the kernel asks for the lease
//promise:mounttest.HoldLease giveUp gives the lease up, retake takes it again
func TestHoldLease(t *testing.T) {
	mounttest.EachOf(t, mounttest.Leases, func(t *testing.T, dir string) {
		name := filepath.Join(dir, "file")
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		open := func() error {
			fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
			if err == nil {
				_ = unix.Close(fd)
			}
			return err
		}
		t.Run("kept", func(t *testing.T) {
			mounttest.Leaks(t)
			asked := mounttest.HoldLease(t, name, nil)
			if n := asked(); n != 0 {
				t.Errorf("asked for %d times before an open", n)
			}
			for range 2 {
				if err := open(); !errors.Is(err, syscall.EAGAIN) {
					t.Errorf("open: %v", err)
				}
			}
			for try := 0; asked() != 1; try++ {
				if try == 5000 {
					t.Fatalf("asked for %d times", asked())
				}
				time.Sleep(time.Millisecond)
			}
		})
		if err := open(); err != nil {
			t.Errorf("after the test: %v", err)
		}
		untilOpened := func(t *testing.T, more func() bool) {
			for try := 0; more(); try++ {
				if err := open(); err != nil && !errors.Is(err, syscall.EAGAIN) {
					t.Fatal(err)
				}
				if try == 5000 {
					t.Fatal("it does not happen")
				}
				time.Sleep(time.Millisecond)
			}
		}
		t.Run("given up", func(t *testing.T) {
			mounttest.Leaks(t)
			asked := mounttest.HoldLease(t, name, func(giveUp, _ func()) { giveUp() })
			untilOpened(t, func() bool { return open() != nil })
			if n := asked(); n != 1 {
				t.Errorf("asked for %d times", n)
			}
		})
		t.Run("taken again", func(t *testing.T) {
			mounttest.Leaks(t)
			asked := mounttest.HoldLease(t, name, func(_, retake func()) { retake() })
			untilOpened(t, func() bool { return asked() < 5 })
		})
	})
}
