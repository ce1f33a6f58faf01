package snapshot_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// wantSettled opens a file and checks whether the snapshot is settled.
func wantSettled(t *testing.T, name string, method snapshot.Method, want bool) {
	t.Helper()
	m := open(t, name)
	if m.Method() != method || m.Settled() != want {
		t.Errorf("%v, settled %v, want %v, %v", m.Method(), m.Settled(), method, want)
	}
	must(t, m.Close())
}

// A snapshot of a file that was just written is settled if it is a reflink or a leased copy. If no
// lease can be had, it is settled once the file has not changed for two seconds, or for ten beside a
// process that has it open for writing.
//
//promise:snapshot.Mmap.Settled a Reflink and a LeasedCopy are settled
//promise:snapshot.Mmap.Settled a ComparedCopy is settled if the last change is two seconds old
//promise:snapshot.Mmap.Settled beside a process that has the file open for writing it takes ten
func TestSettled(t *testing.T) { smallAndPrivate(t, settled) }

func settled(t *testing.T) {
	systest.NoPauses(t)
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 10000))
		if reflinks(dir) && privatefile.SmallSize < 0 {
			wantSettled(t, name, snapshot.Reflink, true)
			return
		}
		if mounttest.Has(dir, mounttest.Leases) {
			wantSettled(t, name, snapshot.LeasedCopy, true)
		}
		f := openFile(t, name, os.O_WRONLY)
		for _, test := range []struct {
			errno  syscall.Errno
			passed time.Duration
			want   bool
		}{
			{syscall.EACCES, 2 * time.Second, true},
			{syscall.EAGAIN, 2 * time.Second, false},
			{syscall.EAGAIN, 5 * time.Second, false},
			{syscall.EAGAIN, 10 * time.Second, true},
			{syscall.EACCES, -time.Second, false}, // the clock was set; in the past it is the same
			{syscall.EACCES, -time.Hour, true},
		} {
			t.Run(test.errno.Error()+" after "+test.passed.String(), func(t *testing.T) {
				if !mounttest.Has(dir, mounttest.Leases) && test.errno == syscall.EACCES {
					t.Skip("leases prove nothing here: it takes ten seconds")
				}
				if reflinks(dir) {
					wantSettled(t, name, snapshot.Reflink, true)
				}
				systest.Intercept(t, func(call string) error {
					switch {
					case call == "setlease":
						return test.errno
					case call == "tmpfile excl at" && reflinks(dir): // the directory is not writable
						return syscall.EACCES
					}
					return nil
				})
				_, err := f.WriteAt([]byte("x"), 0)
				must(t, err)
				systest.ShiftTimes(t, -test.passed)
				wantSettled(t, name, snapshot.ComparedCopy, test.want)
			})
		}
		must(t, f.Close())
	})
}

// On overlayfs a lease does not make a LeasedCopy, but tells whether a process is writing. No lease
// is kept, which writers would have to wait for.
//
//promise:snapshot.Mmap.Settled on overlayfs a lease settles a ComparedCopy
func TestSettledOnOverlay(t *testing.T) {
	o := newOverlay(t, onDisk, mounttest.Memory)
	mounttest.Leaks(t)
	for _, layer := range []string{"lower", "upper"} {
		name := join(o.merged, layer)
		wantSettled(t, name, snapshot.ComparedCopy, true)
		f := openFile(t, name, os.O_RDWR)
		_, err := f.WriteAt([]byte("x"), 0)
		must(t, err)
		wantSettled(t, name, snapshot.ComparedCopy, false)
		must(t, f.Close())
		wantSettled(t, name, snapshot.ComparedCopy, true)

		opened := false
		m, err := snapshot.Config{Progress: func(done, total int64) {
			opened = true
			must(t, openNonblocking(name)) // EAGAIN while there is a lease
		}}.Open(context.Background(), name)
		must(t, err)
		must(t, m.Close())
		if !opened {
			t.Error("nothing was copied")
		}
	}
}

func openNonblocking(name string) error {
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Close(fd)
	}
	return err
}

// A file of squashfs never changes: no time is too young, and nothing is waited for.
//
//promise:snapshot.Mmap.Settled on a filesystem to which nothing is ever written all are settled
//promise:snapshot.Config.Open opening waits for no clock on a filesystem to which nothing is written
func TestSettledOnSquashfs(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	if _, err := exec.LookPath("mksquashfs"); err != nil {
		t.Skip(err)
	}
	dir := mounttest.Dir(t, mounttest.Memory)
	tree, image, at := join(dir, "tree"), join(dir, "image"), join(dir, "at")
	must(t, os.Mkdir(tree, 0o755))
	must(t, os.Mkdir(at, 0o755))
	for name, when := range map[string]time.Time{"now": time.Now(), "later": time.Now().Add(time.Hour)} {
		write(t, join(tree, name), noise(1, 1000))
		must(t, os.Chtimes(join(tree, name), when, when))
	}
	if out, err := exec.Command("mksquashfs", tree, image, "-quiet", "-no-progress").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop,ro", "-t", "squashfs", image, at).CombinedOutput(); err != nil {
		t.Skipf("squashfs cannot be mounted here: %s", out)
	}
	t.Cleanup(func() { must(t, unix.Unmount(at, 0)) })
	begin := time.Now()
	for range 10 {
		wantSettled(t, join(at, "now"), snapshot.ComparedCopy, true)
		wantSettled(t, join(at, "later"), snapshot.ComparedCopy, true)
	}
	if took := time.Since(begin); took > 20*time.Second { // each opening would wait for two
		t.Errorf("20 openings took %v", took)
	}
}

// A time of the file in the future is not that of a change a moment ago: nothing is waited for.
//
//promise:snapshot.Config.Open opening does not wait because of a time in the future
func TestTimesInTheFuture(t *testing.T) { smallAndPrivate(t, timesInTheFuture) }

func timesInTheFuture(t *testing.T) {
	mounttest.Leaks(t)
	name := join(mounttest.Fresh(t, mounttest.WholeSeconds, 16<<20), "f")
	write(t, name, noise(1, 1000))
	systest.ShiftTimes(t, time.Hour)
	looks := 0
	systest.Intercept(t, func(call string) error {
		switch call {
		case "fstat sync":
			looks++
		case "setlease":
			return syscall.EACCES
		}
		return nil
	})
	wantSettled(t, name, snapshot.ComparedCopy, true)
	// One before the copy, one before each chunk of a private file, one after; none after a wait.
	want := 3
	if privatefile.SmallSize > 0 {
		want = 2
	}
	if looks != want {
		t.Errorf("%d looks at the file, want %d", looks, want)
	}
}

// FromFile of a descriptor that is open for reading takes no lease: the copy is a reflink, or is
// settled as that of another user's file.
//
//promise:snapshot.Mmap.Settled FromFile of a readable file: a reflink, or if the last change is two seconds old
func TestSettledFromFile(t *testing.T) {
	smallAndPrivate(t, func(t *testing.T) {
		mounttest.EachOf(t, mounttest.Leases, func(t *testing.T, dir string) {
			mounttest.Leaks(t)
			write(t, join(dir, "f"), noise(1, 10000))
			f := openFile(t, join(dir, "f"), os.O_RDONLY)
			for _, passed := range []time.Duration{-time.Second, 4 * time.Second} {
				systest.ShiftTimes(t, -passed) // they add up
				method, want := snapshot.ComparedCopy, passed > 0
				if reflinks(dir) {
					method, want = snapshot.Reflink, true
				}
				if m := fromFile(t, f); m.Method() != method || m.Settled() != want {
					t.Errorf("after %v: %v, settled %v", passed, m.Method(), m.Settled())
				}
			}
		})
	})
}

// A memfd is never counted as open for writing: a lease on it proves nothing.
//
//promise:snapshot.Config.RequireConsistent a memfd is refused
func TestNoLeaseOnMemfd(t *testing.T) {
	systest.NoPauses(t)
	mounttest.Leaks(t)
	fd, err := unix.MemfdCreate("written", unix.MFD_CLOEXEC)
	must(t, err)
	f := os.NewFile(uintptr(fd), "written")
	_, err = f.Write(noise(1, 10000))
	must(t, err)
	m, err := snapshot.FromFile(f)
	must(t, err)
	if m.Method() != snapshot.ComparedCopy || m.Settled() {
		t.Errorf("%v, settled %v", m.Method(), m.Settled())
	}
	must(t, m.Close())
	_, err = snapshot.Config{RequireConsistent: true}.FromFile(context.Background(), f)
	if !errors.Is(err, snapshot.ErrUnstable) {
		t.Error(err)
	}
	must(t, f.Close())
}

// If a sandbox refuses to tell the type of a filesystem, it can be any: leases prove nothing there.
//
//promise:snapshot.Mmap.Settled on a filesystem of unknown type it takes ten seconds
func TestSettledOnUnknownFilesystem(t *testing.T) {
	smallAndPrivate(t, func(t *testing.T) {
		name := join(mounttest.Fresh(t, onDisk, 64<<20), "f")
		write(t, name, noise(1, 10000))
		systest.Intercept(t, func(call string) error {
			if call == "fstatfs" {
				return syscall.EACCES
			}
			return nil
		})
		systest.ShiftTimes(t, -5*time.Second)
		wantSettled(t, name, snapshot.ComparedCopy, false)
		systest.ShiftTimes(t, -5*time.Second)
		wantSettled(t, name, snapshot.ComparedCopy, true)
	})
}
