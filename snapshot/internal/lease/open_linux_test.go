package lease

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// wantRefused checks that a file gets no lease.
func wantRefused(t *testing.T, name string, want error) {
	t.Helper()
	s, err := tryOpen(context.Background(), t, name, inMemory)
	if !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
	if s != nil {
		_ = s.Close()
	}
}

// Files of which a lease proves too little get none.
func TestRefused(t *testing.T) {
	mounttest.Leaks(t)
	name := newFile(t)

	w, err := os.OpenFile(name, os.O_WRONLY, 0)
	must(t, err)
	wantRefused(t, name, syscall.EAGAIN) // a writer
	must(t, w.Close())
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	must(t, os.Remove(name))
	_, err = openFD(context.Background(), t, fd, "", inMemory) // no name
	if !errors.Is(err, errKind) {
		t.Error(err)
	}
	for _, n := range []int{0, 1, int(privatefile.SmallSize)} {
		must(t, os.WriteFile(name, make([]byte, n), 0o600))
		wantRefused(t, name, errKind)
	}
	for _, p := range []mounttest.Property{mounttest.Memory, mounttest.NoCOW} {
		name := filepath.Join(mounttest.Dir(t, p), "f")
		must(t, os.WriteFile(name, filled('A'), 0o600))
		wantRefused(t, name, errFS)
	}

	memfd, err := syscalls.Memfd("lease-test")
	must(t, err)
	must(t, unix.Ftruncate(memfd, size))
	reopened, err := syscalls.Reopen(memfd)
	must(t, err)
	if _, err := openFD(context.Background(), t, reopened, "", inMemory); err == nil {
		t.Error("a lease on a memfd")
	}
	must(t, unix.Close(memfd))
}

// The file of another user gets no lease, whatever this process may do.
func TestRefusedToOthers(t *testing.T) {
	mounttest.Need(t, "CAP_CHOWN", "CAP_LEASE")
	name := newFile(t)
	must(t, os.Chown(name, 65534, 65534))
	wantRefused(t, name, errNotOwned)
}

// The value of fs.lease-break-time decides how much data a file may have, and whether leases prove
// anything. An unlucky value makes the kernel's time overflow.
func TestBreakTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lease-break-time")
	const most = 4 << 30
	for value, want := range map[string]int64{
		"45": most, "0": most, "-1": most, "46": most, "2000000": most, "1": most / 45, "9": most / 5,
		"2000001": 0, "2147483647": 0, "x": 0, "": 0,
	} {
		must(t, os.WriteFile(file, []byte(value+"\n"), 0o600))
		var b breakTime
		b.file.Store(&file)
		if sound := b.refresh(); sound != (want > 0) || b.isSound() != sound || b.maxData.Load() != want {
			t.Errorf("%q: sound: %t, at most %d bytes, want %d", value, sound, b.maxData.Load(), want)
		}
	}
	var b breakTime
	missing := file + "x"
	b.file.Store(&missing)
	if b.refresh() {
		t.Error("sound, though the file is missing")
	}
}

// setBreakTime makes the value seem to be another until the test ends.
func setBreakTime(t *testing.T) (set func(value string)) {
	file := filepath.Join(t.TempDir(), "lease-break-time")
	limits.file.Store(&file)
	t.Cleanup(func() { limits.file.Store(nil); limits.refresh() })
	return func(value string) {
		must(t, os.WriteFile(file+"2", []byte(value), 0o600))
		must(t, os.Rename(file+"2", file))
	}
}

// If the time becomes one that overflows, snapshots are copied within a second, and none is opened.
func TestBreakTimeOverflows(t *testing.T) {
	mounttest.Leaks(t)
	set := setBreakTime(t)
	set("45")
	limits.refresh()
	name := newFile(t)
	s := openLeased(t, name)
	set("2000001")
	waitUntil(t, "there is a copy", func() bool { return !s.IsOriginal() })
	wantAll(t, s, 'A')
	wantRefused(t, name, errBreakTime)
	set("2000000")
	waitUntil(t, "leases are taken again", func() bool { return limits.isSound() || limits.refresh() })
	wantAll(t, openLeased(t, name), 'A')
}

// A file with too much data to be copied in time gets no lease; holes do not count.
func TestTooMuchData(t *testing.T) {
	mounttest.Leaks(t)
	set := setBreakTime(t)
	set("1")
	limits.refresh()
	dir := mounttest.Fresh(t, mounttest.Disk|mounttest.NoReflinks, 160<<20)
	name := filepath.Join(dir, "f")
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(min(8<<30, math.MaxInt>>3)))
	must(t, f.Close())
	s, err := tryOpen(context.Background(), t, name, inMemory)
	must(t, err)
	must(t, s.Close())
	f, err = os.OpenFile(name, os.O_WRONLY, 0)
	must(t, err)
	must(t, syscalls.Allocate(int(f.Fd()), 0, 4<<30/45+1<<20, false))
	must(t, f.Close())
	wantRefused(t, name, errTooLarge)
	if !canWrite(t, name) {
		t.Error("the lease was not given up")
	}
}

// Dirty pages of the file are written before it is used: if the disk refused them later, the kernel
// would drop them. If that takes long, the end of the context ends Open.
func TestDirtyPages(t *testing.T) {
	t.Run("the disk refuses them", func(t *testing.T) {
		mounttest.Leaks(t)
		name := newFile(t)
		systest.Intercept(t, func(call string) error {
			if call == "writeback" {
				return syscall.EIO
			}
			return nil
		})
		wantRefused(t, name, syscall.EIO)
		if !canWrite(t, name) {
			t.Error("the lease was not given up")
		}
	})
	t.Run("a sandbox refuses the call", func(t *testing.T) {
		mounttest.Leaks(t)
		name, synced := newFile(t), false
		systest.Intercept(t, func(call string) error {
			synced = synced || call == "fsync"
			if call == "writeback" {
				return syscall.EPERM
			}
			return nil
		})
		wantAll(t, openLeased(t, name), 'A')
		if !synced {
			t.Error("nothing was written")
		}
	})
	t.Run("the context ends", func(t *testing.T) {
		mounttest.Leaks(t)
		name := newFile(t)
		ctx, cancel := context.WithCancel(context.Background())
		proceed := make(chan bool)
		systest.Intercept(t, func(call string) error {
			if call == "writeback" {
				cancel()
				<-proceed
			}
			return nil
		})
		s, err := tryOpen(ctx, t, name, inMemory)
		if !errors.Is(err, context.Canceled) || s != nil {
			t.Error(err)
		}
		must(t, await(t, overwrite(name, 'B'))) // the disk has not answered
		close(proceed)
	})
}

// A writer that comes while a snapshot is opened gets in, and the snapshot is right.
func TestWriterBesideOpen(t *testing.T) {
	mounttest.Leaks(t)
	name := newFile(t)
	var done chan error
	undo := systest.Intercept(t, func(call string) error {
		if call == "writeback" {
			done = overwrite(name, 'B')
			time.Sleep(20 * time.Millisecond) // so that its signal comes too early, as a rule
		}
		return nil
	})
	s := openLeased(t, name)
	undo()
	must(t, await(t, done))
	wantAll(t, s, 'A')
}
