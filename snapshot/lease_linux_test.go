package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// openNow opens a file if that does not have to wait.
func openNow(name string, flags int) error { return openOnce(name, flags|unix.O_NONBLOCK) }

func openOnce(name string, flags int) error {
	fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Close(fd)
	}
	return err
}

// While a LeasedCopy is made nobody can open the file for writing, and as soon as it is made
// everybody can: a writer waits, one that does not wish to gets EAGAIN, and the copy is untorn
// all the same. Whoever opens the file for reading, or opens a snapshot of it, is not held up.
//
//promise:snapshot.LeasedCopy during the copy no process opens the file for writing
//promise:snapshot.LeasedCopy during the copy an open for writing with O_NONBLOCK is EAGAIN
//promise:snapshot.LeasedCopy during the copy other processes open and read the file without a wait
func TestLeaseKeepsWritersOut(t *testing.T) {
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 1<<20)
		for _, consistent := range []bool{false, true} {
			write(t, name, data)
			writer := make(chan error, 1)
			c := during(func() {
				if err := openNow(name, unix.O_RDWR); !errors.Is(err, unix.EAGAIN) {
					t.Errorf("opened for writing: %v", err)
				}
				must(t, openNow(name, unix.O_RDONLY))
				m, err := snapshot.Open(name)
				must(t, err)
				must(t, m.Close())
				go func() { writer <- os.WriteFile(name, []byte("new"), 0) }()
				select {
				case err := <-writer:
					t.Errorf("written to: %v", err)
				case <-time.After(20 * time.Millisecond):
				}
			})
			c.RequireConsistent = consistent
			m, err := c.Open(context.Background(), name)
			must(t, err)
			if m.Method() != snapshot.LeasedCopy {
				t.Error(m.Method())
			}
			must(t, <-writer) // the snapshot is still open
			wantFile(t, name, []byte("new"))
			wantContents(t, m, data)
			must(t, m.Close())
		}
	})
}

// No lease outlives the call that took it, whatever failed in it.
//
//promise:snapshot.LeasedCopy the lease ends with the copy, whichever call fails
func TestLeaseEndsWithTheCopy(t *testing.T) {
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 1<<20))
		f := openPathFile(t, name)
		for _, open := range []func() (reader, error){
			func() (reader, error) { return snapshot.Open(name) },
			func() (reader, error) { return snapshot.OpenMut(name) },
			func() (reader, error) { return snapshot.FromFile(f) },
		} {
			must(t, openNow(name, unix.O_RDWR))
			failEach(t, syscall.EIO, func(arm func(), disarm func() string) {
				arm()
				m, err := open()
				failed := disarm()
				if err := openNow(name, unix.O_RDWR); err != nil {
					t.Errorf("%s failed: open for writing: %v", failed, err)
				}
				if err == nil {
					must(t, m.Close())
				}
			})
		}
		ctx, cancel := context.WithCancel(context.Background())
		_, err := during(cancel).Open(ctx, name)
		wantError(t, err, context.Canceled, "open "+name+": context canceled")
		must(t, openNow(name, unix.O_RDWR))
	})
}

// open(2) with O_RDONLY|O_TRUNC empties a file in spite of the lease.
//
//promise:snapshot.LeasedCopy a truncation by O_RDONLY|O_TRUNC, which leases permit, is noticed
func TestLeaseAndTruncation(t *testing.T) { smallAndPrivate(t, leaseAndTruncation) }

func leaseAndTruncation(t *testing.T) {
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 1<<20))
		c := during(func() { must(t, openNow(name, unix.O_RDONLY|unix.O_TRUNC)) })
		c.RequireConsistent = true
		m, err := c.Open(context.Background(), name)
		must(t, err)
		wantContents(t, m, nil)
		must(t, m.Close())
	})
}

// Beside a writer there is no lease: the copy is a ComparedCopy, which RequireConsistent refuses
// without copying anything. A writer that closes in time is waited for.
//
//promise:snapshot.ComparedCopy a file that is open for writing or mapped writable has this method
func TestLeaseBesideWriters(t *testing.T) { smallAndPrivate(t, leaseBesideWriters) }

func leaseBesideWriters(t *testing.T) {
	systest.NoPauses(t)
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 1<<20)
		write(t, name, data)
		mapped := openFile(t, name, os.O_RDWR)
		mem, err := unix.Mmap(int(mapped.Fd()), 0, len(data), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		must(t, err)
		must(t, mapped.Close())
		for _, end := range []func() error{
			func() error { return unix.Munmap(mem) },
			openFile(t, name, os.O_WRONLY).Close,
			openFile(t, name, os.O_RDWR).Close,
		} {
			m, err := snapshot.Open(name)
			must(t, err)
			if m.Method() != snapshot.ComparedCopy {
				t.Error(m.Method())
			}
			wantContents(t, m, data)
			must(t, m.Close())
			calls := systest.CountCalls(t)
			consistent := snapshot.Config{RequireConsistent: true}
			_, err = consistent.Open(context.Background(), name)
			wantError(t, err, snapshot.ErrUnstable,
				"open "+name+": no consistent copy: the file is open for writing")
			if n := calls("copy_file_range") + calls("pread"); n > 0 {
				t.Errorf("%d calls to copy", n)
			}
			must(t, end())
		}
		f := openFile(t, name, os.O_RDWR)
		tries := 0
		systest.Intercept(t, func(call string) error {
			if call == "setlease" {
				if tries++; tries == 4 {
					must(t, f.Close())
				}
			}
			return nil
		})
		m, err := snapshot.Config{RequireConsistent: true}.Open(context.Background(), name)
		must(t, err)
		if m.Method() != snapshot.LeasedCopy {
			t.Error(m.Method())
		}
		must(t, m.Close())
	})
}

// FromFile takes no lease on a descriptor that is open for reading. Behind a descriptor of O_PATH,
// it opens the file and takes a lease.
//
//promise:snapshot.Config.FromFile a copy is a ComparedCopy if f is open for reading
//promise:snapshot.Config.FromFile RequireConsistent refuses the copy unless f is O_PATH
func TestLeaseOfFromFile(t *testing.T) {
	systest.NoPauses(t)
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 1000))
		consistent := snapshot.Config{RequireConsistent: true}
		for _, flags := range []int{os.O_RDONLY, os.O_RDWR} {
			f := openFile(t, name, flags)
			calls := systest.CountCalls(t)
			if m := fromFile(t, f); m.Method() != snapshot.ComparedCopy {
				t.Error(m.Method())
			}
			_, err := consistent.FromFile(context.Background(), f)
			wantError(t, err, snapshot.ErrUnstable, "open "+name+
				": no consistent copy: no lease is taken on a descriptor that is open for reading")
			if n := calls("setlease") + calls("reopen") + calls("openread"); n != 0 {
				t.Errorf("%d leases and openings", n)
			}
			must(t, f.Close())
		}
		m, err := consistent.FromFile(context.Background(), openPathFile(t, name))
		must(t, err)
		if m.Method() != snapshot.LeasedCopy {
			t.Error(m.Method())
		}
		must(t, m.Close())
	})
}

// A lease that was not there to the end proves nothing.
//
//promise:snapshot.LeasedCopy a copy whose lease ended early is no LeasedCopy
func TestLeaseThatRanOut(t *testing.T) {
	systest.NoPauses(t)
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 1000))
		calls := 0
		systest.Intercept(t, func(call string) error {
			if call == "setlease" {
				if calls++; calls%2 == 0 { // the kernel's answer to giving up what is not there
					return syscall.EAGAIN
				}
			}
			return nil
		})
		m, err := snapshot.Open(name)
		must(t, err)
		if m.Method() != snapshot.ComparedCopy {
			t.Error(m.Method())
		}
		must(t, m.Close())
		_, err = snapshot.Config{RequireConsistent: true}.Open(context.Background(), name)
		wantError(t, err, snapshot.ErrUnstable, "open "+name+": no consistent copy: another process waited too long to open the file for writing")
	})
}

// A copy that takes its time does not keep a writer waiting until its end.
//
//promise:snapshot.LeasedCopy an open for writing waits for about a second at most
func TestLeaseYields(t *testing.T) {
	mounttest.EachOf(t, copying|mounttest.Disk, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, nil)
		f := openFile(t, name, os.O_RDWR)
		for i := range 30 { // each a chunk
			_, err := f.WriteAt([]byte("data"), int64(i)<<20)
			must(t, err)
		}
		must(t, f.Close())
		data, err := os.ReadFile(name)
		must(t, err)
		for consistent, want := range map[bool]snapshot.Method{
			false: snapshot.ComparedCopy,
			true:  snapshot.LeasedCopy, // the second time, when nobody waited
		} {
			writer := make(chan error, 1)
			start := sync.OnceFunc(func() {
				go func() { writer <- openOnce(name, unix.O_RDWR) }()
				waitForBreak(t, name)
			})
			in := false
			waitFor := func() {
				inTime(t, "the writer", func() {
					if err := <-writer; err != nil {
						t.Error(err)
					}
				})
				in = true
			}
			leases := 0 // taken or given up
			undo := systest.Intercept(t, func(call string) error {
				if call == "setlease" {
					if leases++; leases == 3 && !in {
						waitFor() // or another one would be tried for in vain
					}
				}
				return nil
			})
			c := snapshot.Config{RequireConsistent: consistent, Progress: func(done, total int64) {
				start()
				switch {
				case in:
				case leases > 1:
					waitFor()
				case done > total/2:
					t.Error("the writer still waits")
				default:
					time.Sleep(100 * time.Millisecond) // a slow disk
				}
			}}
			m, err := c.Open(context.Background(), name)
			undo()
			must(t, err)
			if m.Method() != want {
				t.Errorf("%v, want %v", m.Method(), want)
			}
			wantContents(t, m, data)
			must(t, m.Close())
		}
	})
}

// waitForBreak returns when an open waits for the lease on a file.
func waitForBreak(t *testing.T, name string) {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Stat(name, &st))
	inode := fmt.Sprintf(":%d ", st.Ino)
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		locks, err := os.ReadFile("/proc/locks")
		must(t, err)
		for line := range strings.Lines(string(locks)) {
			if strings.Contains(line, "BREAKING") && strings.Contains(line, inode) {
				return
			}
		}
		if time.Since(begin) > patience {
			t.Fatal("no open waits for the lease")
		}
	}
}

// On filesystems where a lease proves nothing no copy is a LeasedCopy.
//
//promise:snapshot.LeasedCopy only filesystems whose leases exclude writers have this method
func TestNoLeaseElsewhere(t *testing.T) {
	overlays(t, func(t *testing.T, o overlay) {
		mounttest.Leaks(t)
		m := open(t, join(o.merged, "lower"))
		wantContents(t, m, o.data)
		if m.Method() == snapshot.Reflink && o.oneFilesystem {
			return
		}
		if m.Method() != snapshot.ComparedCopy {
			t.Error(m.Method())
		}
		_, err := snapshot.Config{RequireConsistent: true}.Open(context.Background(), join(o.merged, "lower"))
		wantError(t, err, snapshot.ErrUnstable,
			"open "+join(o.merged, "lower")+": no consistent copy: leases prove nothing on this filesystem")
	})
}
