package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A file of at most 128 KiB that belongs to this process's user is read under a lease, on every
// filesystem with leases. No file is made, no directory opened and nothing mapped.
//
//promise:snapshot.Config.Open a file of at most 128 KiB is read into memory under a lease: no private file, no mapping
//promise:snapshot.LeasedCopy a small file that belongs to the user of this process is a LeasedCopy, also where there are reflinks
func TestSmallFile(t *testing.T) {
	mounttest.EachOf(t, mounttest.Leases, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		for _, size := range []int{0, 1, 4096, 128 << 10, 128<<10 + 1} {
			name := join(dir, fmt.Sprint(size))
			write(t, name, noise(uint64(size), size))
			f := openFile(t, name, os.O_RDONLY)
			path, err := os.OpenFile(name, syscalls.OPath, 0)
			must(t, err)
			small := size <= 128<<10
			for what, open := range map[string]func() (*snapshot.Mmap, error){
				"Open":             func() (*snapshot.Mmap, error) { return snapshot.Open(name) },
				"FromFile":         func() (*snapshot.Mmap, error) { return snapshot.FromFile(f) },
				"FromFile, O_PATH": func() (*snapshot.Mmap, error) { return snapshot.FromFile(path) },
			} {
				calls := systest.CountCalls(t)
				m, err := open()
				must(t, err)
				if made := calls("opendir") + calls("tmpfile excl") + calls("tmpfile excl at") + calls("memfd"); small != (made == 0) {
					t.Errorf("%s, %d bytes: %d calls for a private file", what, size, made)
				}
				if small && m.Method() != snapshot.LeasedCopy {
					t.Errorf("%s, %d bytes: %v", what, size, m.Method())
				}
				p := make([]byte, size)
				_, err = m.ReadAt(p, 0)
				must(t, err)
				if small && (!m.Resident(0, -1) || m.Prefetch(0, -1) != nil || calls("mmap")+calls("mmap anonymous") > 0) {
					t.Errorf("%s, %d bytes: not in memory, or mapped", what, size)
				}
				wantContents(t, m, noise(uint64(size), size))
				must(t, m.Close())
			}
			must(t, path.Close())
		}
	})
}

// Slices of a small snapshot come from memory that cannot be written, and that Close takes away.
//
//promise:snapshot.Mmap.Bytes of a small file, too, using the slice after Close or storing into it is a fault
func TestSmallFileFaults(t *testing.T) {
	mounttest.EachOf(t, mounttest.Leases, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 5000))
		m := open(t, name)
		var kept []byte
		must(t, m.View(100, 1000, func(b []byte) error { kept = b; return nil }))
		b := m.Bytes()
		wantFault(t, func() { b[4000]++ })
		err := m.View(0, -1, func(b []byte) error { b[1]++; return nil })
		wantError(t, err, syscall.EFAULT, "view "+name+": bad address")
		wantContents(t, m, noise(1, 5000))
		must(t, m.Close())
		wantFault(t, func() { _ = load(b, 4999) })
		wantFault(t, func() { _ = load(kept, 0) })
		_, err = m.ReadAt(make([]byte, 1), 0)
		wantError(t, err, fs.ErrClosed, "read "+name+": file already closed")
		if m.Bytes() != nil || m.Resident(0, 1) {
			t.Error("there are bytes after Close")
		}
	})
}

//go:noinline
func load(b []byte, i int) byte { return b[i] }

// A file that changes while it is read under a lease, which truncation need not wait for, or whose
// lease is lost, is read anew.
//
//promise:snapshot.LeasedCopy size, times and inode of a small file are compared, too
func TestSmallFileChanges(t *testing.T) {
	mounttest.EachOf(t, mounttest.Leases, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		old := noise(1, 5000)
		for what, change := range map[string]func(f *os.File){
			"truncated": func(f *os.File) { // open(2) with O_RDONLY|O_TRUNC waits for no lease
				openFile(t, name, os.O_RDONLY|os.O_TRUNC)
			},
			"rewritten, without a lease": func(f *os.File) {
				_, err := f.WriteAt([]byte("new"), 0)
				must(t, err)
			},
		} {
			write(t, name, old)
			undo := func() {}
			if what != "truncated" {
				set := sys.SetLease
				sys.SetLease = func(int, int) error { return nil }
				undo = func() { sys.SetLease = set }
			}
			f := openFile(t, name, os.O_RDWR)
			if what == "truncated" {
				must(t, f.Close())
			}
			m, err := during(func() { change(f) }).Open(context.Background(), name)
			undo()
			must(t, err)
			want, err := os.ReadFile(name)
			must(t, err)
			wantContents(t, m, want)
			must(t, m.Close())
			_ = f.Close()
		}
		write(t, name, old)
		set := sys.SetLease
		sys.SetLease = func(fd, kind int) error {
			if kind == syscalls.NoLease {
				_ = set(fd, kind)
				return syscall.EAGAIN // as if it had been lost
			}
			return set(fd, kind)
		}
		m, err := snapshot.Open(name)
		sys.SetLease = set
		must(t, err)
		if m.Method() == snapshot.LeasedCopy {
			t.Error("a LeasedCopy, and the lease was lost")
		}
		must(t, m.Close())
	})
}

// Another user's small file is a reflink if its directory can hold one, and else read and
// compared, before TempDir. RequireConsistent and NoCopy allow no such copy.
//
//promise:snapshot.ComparedCopy another user's small file is read and compared where its directory can hold no reflink
//promise:snapshot.Config.NoCopy a small file is a Reflink, or an error
func TestSmallFileOfOthers(t *testing.T) {
	mounttest.EachOf(t, mounttest.Leases, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 5000))
		path := openPathFile(t, name)
		reflinks := mounttest.Has(dir, mounttest.Reflinks)
		set := sys.SetLease
		defer func() { sys.SetLease = set }()
		sys.SetLease = func(int, int) error { return syscall.EACCES }
		check := func(what string, c snapshot.Config, want snapshot.Method, tmpfiles int) {
			t.Helper()
			for _, open := range []func() (*snapshot.Mmap, error){
				func() (*snapshot.Mmap, error) { return c.Open(context.Background(), name) },
				func() (*snapshot.Mmap, error) { return c.FromFile(context.Background(), path) },
			} {
				calls := systest.CountCalls(t)
				m, err := open()
				if err != nil {
					t.Errorf("%s: %v", what, err)
					return
				}
				wantContents(t, m, noise(1, 5000))
				if n := calls("tmpfile excl at"); m.Method() != want || n != tmpfiles {
					t.Errorf("%s: %v, %d attempts to make a private file; want %v, %d", what, m.Method(), n, want, tmpfiles)
				}
				must(t, m.Close())
			}
		}
		if reflinks {
			check("writable directory", snapshot.Config{}, snapshot.Reflink, 1)
		} else {
			check("writable directory", snapshot.Config{}, snapshot.ComparedCopy, 0)
			_, err := snapshot.Config{RequireConsistent: true}.Open(context.Background(), name)
			if !errors.Is(err, snapshot.ErrUnstable) {
				t.Errorf("RequireConsistent: %v", err)
			}
		}
		undo := systest.Intercept(t, func(call string) error {
			switch call {
			case "tmpfile excl", "tmpfile excl at":
				return syscall.EACCES
			case "opendir":
				t.Error("a directory is opened")
			}
			return nil
		})
		m, err := snapshot.Open(name)
		must(t, err)
		m2, err := snapshot.FromFile(path)
		undo()
		must(t, err)
		for _, m := range []*snapshot.Mmap{m, m2} {
			if m.Method() != snapshot.ComparedCopy {
				t.Errorf("directory not writable: %v", m.Method())
			}
			wantContents(t, m, noise(1, 5000))
			must(t, m.Close())
		}

		sys.SetLease = set
		_, err = snapshot.Config{NoCopy: true}.Open(context.Background(), name)
		if reflinks != (err == nil) || !reflinks && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("NoCopy: %v", err)
		}
	})
}

// Progress is called once for a small file. If it panics, nothing is left.
//
//promise:snapshot.Config.Progress a small file is reported once, when it is read
func TestSmallFileProgress(t *testing.T) {
	mounttest.EachOf(t, mounttest.Leases, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 5000))
		calls := 0
		c := snapshot.Config{Progress: func(done, total int64) {
			if calls++; done != 5000 || total != 5000 {
				t.Errorf("%d of %d", done, total)
			}
		}}
		m, err := c.Open(context.Background(), name)
		must(t, err)
		must(t, m.Close())
		if calls != 1 {
			t.Errorf("called %d times", calls)
		}
		c.Progress = func(done, total int64) { panic("stop") }
		func() {
			defer func() { _ = recover() }()
			_, err := c.Open(context.Background(), name)
			t.Errorf("no panic, %v", err)
		}()
		openFile(t, name, os.O_RDWR|syscall.O_NONBLOCK) // no lease is left
	})
}

// The type of a filesystem is asked for once, not for each file: XFS can take long to answer.
func TestFilesystemTypeIsRemembered(t *testing.T) {
	mounttest.EachOf(t, mounttest.Leases, func(t *testing.T, dir string) {
		name := join(dir, "f")
		write(t, name, noise(1, 5000))
		st, err := os.Stat(name)
		must(t, err)
		if sys, err := syscalls.Fstat(int(openFile(t, name, os.O_RDONLY).Fd())); err != nil || sys.Mount == 0 {
			t.Skipf("%s: the kernel does not number mounts (Linux 6.8): %v", st.Name(), err)
		}
		open(t, name)
		calls := systest.CountCalls(t)
		for range 10 {
			open(t, name)
		}
		if n := calls("fstatfs"); n != 0 {
			t.Errorf("asked %d times more", n)
		}
	})
}

// OpenMut makes a private file for a small file, too.
func TestSmallFileMut(t *testing.T) {
	mounttest.EachOf(t, mounttest.Leases, func(t *testing.T, dir string) {
		name := join(dir, "f")
		write(t, name, noise(1, 5000))
		m := openMut(t, name)
		_, err := m.WriteAt([]byte("new"), 0)
		must(t, err)
		must(t, m.Commit())
		must(t, m.Close())
		wantContents(t, open(t, name), append([]byte("new"), noise(1, 5000)[3:]...))
		if privatefile.SmallSize != 128<<10 {
			t.Errorf("small files are of up to %d bytes", privatefile.SmallSize)
		}
	})
}

// Reads of a small snapshot beside Close have the right bytes, or fail with fs.ErrClosed.
//
//promise:snapshot.Mmap.Close reads of a small file that are under way complete or fail with fs.ErrClosed
func TestSmallFileReadBesideClose(t *testing.T) {
	name := join(mounttest.Dir(t, mounttest.Leases), "f")
	want := noise(1, 5000)
	write(t, name, want)
	for range mounttest.Count(200, 2000, 20_000) {
		m := open(t, name)
		var readers sync.WaitGroup
		for _, r := range []io.ReaderAt{m, viewed{m}} {
			readers.Go(func() {
				for {
					p := make([]byte, 5000)
					_, err := r.ReadAt(p, 0)
					if errors.Is(err, fs.ErrClosed) {
						return
					}
					if err != nil || !bytes.Equal(p, want) {
						t.Errorf("%v, or other bytes", err)
						return
					}
				}
			})
		}
		must(t, m.Close())
		readers.Wait()
	}
}
