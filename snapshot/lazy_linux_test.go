package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Lazy changes nothing where there are reflinks, where a lease proves too little, and for small
// files; on the rest nothing is copied.
//
//promise:snapshot.Config.Lazy on disks without reflinks Method is Lease and nothing is copied; everywhere else the file is opened as without Lazy
//promise:snapshot.Lease Method is Lease if the file itself is read
func TestLazyMethod(t *testing.T) {
	check := func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		lazy := mounttest.Has(dir, onDisk) || mounttest.Has(dir, mounttest.ReflinksOff)
		for _, size := range []int{0, 128 << 10, lazySize} {
			name := join(dir, "f")
			data := noise(1, size)
			write(t, name, data)
			path, err := os.OpenFile(name, syscalls.OPath, 0)
			must(t, err)
			defer path.Close()
			for what, open := range map[string]func(c snapshot.Config) (*snapshot.Mmap, error){
				"Open": func(c snapshot.Config) (*snapshot.Mmap, error) {
					return c.Open(context.Background(), name)
				},
				"FromFile": func(c snapshot.Config) (*snapshot.Mmap, error) {
					return c.FromFile(context.Background(), path)
				},
			} {
				plain, err := open(snapshot.Config{})
				must(t, err)
				want := plain.Method()
				must(t, plain.Close())
				if lazy && size > 128<<10 {
					want = snapshot.Lease
				}
				calls := systest.CountCalls(t)
				m, err := open(snapshot.Config{Lazy: true, RequireConsistent: true})
				must(t, err)
				if m.Method() != want || !m.Settled() || m.Size() != int64(size) {
					t.Errorf("%s, %d bytes: %v, want %v", what, size, m.Method(), want)
				}
				if n := calls("copy_file_range") + calls("mmap"); want == snapshot.Lease && n > 0 {
					t.Errorf("%s: %d calls", what, n)
				}
				wantContents(t, m, data)
				must(t, m.Close())
			}
		}
	}
	mounttest.EachOf(t, mounttest.Known, check)
	t.Run("reflinks off", func(t *testing.T) {
		check(t, mounttest.Fresh(t, mounttest.ReflinksOff, 300<<20))
	})
}

// A snapshot is read in all ways before, while and after the private copy is made.
//
//promise:snapshot.Config.Lazy a process that opens the file for writing waits until the private copy is made, and the snapshot stays as it was
func TestLazyReads(t *testing.T) {
	mounttest.Leaks(t)
	name, data := lazyFile(t)
	m := openLazy(t, snapshot.Config{}, name)
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			p := make([]byte, 10000)
			for off := int64(0); ; off = (off + 77777) % (lazySize - 10000) {
				_, err := m.ReadAt(p, off)
				if err != nil || string(p) != string(data[off:off+10000]) {
					t.Errorf("other bytes at %d, or %v", off, err)
				}
				err = m.View(off, 5000, func(b []byte) error {
					if string(b) != string(data[off:off+5000]) {
						t.Errorf("other bytes at %d, by View", off)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	must(t, m.Prefetch(0, -1))
	if !m.Resident(0, -1) {
		t.Error("not resident after Prefetch")
	}
	must(t, <-overwriteLater(name, noise(2, lazySize)))
	close(stop)
	readers.Wait()
	wantContents(t, m, data)
	if m.Method() != snapshot.Lease {
		t.Error(m.Method())
	}
	wantContents(t, openLazy(t, snapshot.Config{}, name), noise(2, lazySize))
}

// Small views are lent from a buffer. Larger ones and Bytes make the private copy, since a slice of
// the file itself would show what is written to it.
func TestLazyViews(t *testing.T) {
	mounttest.Leaks(t)
	name, data := lazyFile(t)
	m := openLazy(t, snapshot.Config{}, name)
	calls := systest.CountCalls(t)
	var kept []byte
	must(t, m.View(100, 16<<10, func(b []byte) error { kept = b; return nil }))
	wantBytes(t, "View", kept, data[100:100+16<<10])
	if n := calls("copy_file_range"); n != 0 {
		t.Errorf("a small view made %d copies", n)
	}
	failure := errors.New("own")
	if err := m.View(0, 1, func([]byte) error { return failure }); err != failure { //nolint:errorlint
		t.Error(err)
	}
	must(t, m.View(0, -1, func(b []byte) error {
		must(t, <-overwriteLater(name, noise(2, lazySize)))
		wantBytes(t, "View", b, data)
		return nil
	}))
	if n := calls("setlease"); n == 0 {
		t.Error("the lease was not given up")
	}
	b := m.Bytes()
	wantBytes(t, "Bytes", b, data)
	must(t, m.Close())
	wantFault(t, func() { _ = bytes.Clone(b[:1]) })
}

// Holes are those of the file, and stay where they are when the private copy is made.
func TestLazyHoles(t *testing.T) {
	mounttest.Leaks(t)
	name := join(mounttest.Dir(t, onDisk), "f")
	write(t, name, nil)
	must(t, os.Truncate(name, lazySize))
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("data"), 512<<10)
	must(t, err)
	must(t, f.Close())
	m := openLazy(t, snapshot.Config{}, name)
	for range 2 {
		if at, err := m.SeekData(0); at != 512<<10 || err != nil {
			t.Error(at, err)
		}
		if at, err := m.SeekHole(512 << 10); at != 516<<10 || err != nil {
			t.Error(at, err)
		}
		if _, err := m.SeekData(516 << 10); !errors.Is(err, syscall.ENXIO) {
			t.Error(err)
		}
		must(t, <-overwriteLater(name, []byte("other")))
	}
}

// After Close all methods fail as those of any snapshot do, and another snapshot of the file goes on.
func TestLazyClosed(t *testing.T) {
	mounttest.Leaks(t)
	name, data := lazyFile(t)
	other := openLazy(t, snapshot.Config{}, name)
	for _, private := range []bool{false, true} {
		m := openLazy(t, snapshot.Config{}, name)
		if private {
			_ = m.Bytes()
		}
		must(t, m.Close())
		_, readErr := m.ReadAt(make([]byte, 1), 0)
		_, statErr := m.Stat()
		_, seekErr := m.SeekData(0)
		view := func(n int64) error { return m.View(0, n, func([]byte) error { return nil }) }
		for what, err := range map[string]error{
			"ReadAt": readErr, "Stat": statErr, "SeekData": seekErr, "View": view(1), "large View": view(-1),
			"Prefetch": m.Prefetch(0, -1), "Close": m.Close(),
		} {
			if !errors.Is(err, fs.ErrClosed) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if m.Bytes() != nil || m.Resident(0, 1) || m.Size() != lazySize {
			t.Error("Bytes, Resident or Size of a closed snapshot")
		}
		wantContents(t, other, data)
	}
}

// A snapshot that is lost says so once, names what failed, and holds up no writer.
//
//promise:snapshot.Config.Lazy with NoCopy a process that wants to write ends the snapshot with ErrUnstable
//promise:snapshot.ErrUnstable a snapshot with Lazy whose copy could not be made returns it
func TestLazyLost(t *testing.T) {
	mounttest.Leaks(t)
	name, data := lazyFile(t)
	m := openLazy(t, snapshot.Config{NoCopy: true}, name)
	err := m.View(0, -1, func([]byte) error { return nil })
	wantError(t, err, errors.ErrUnsupported, "view "+name+": the data would have to be copied: unsupported operation")
	p := make([]byte, lazySize)
	_, err = m.ReadAt(p, 0)
	must(t, err)
	wantBytes(t, "ReadAt", p, data)
	must(t, <-overwriteLater(name, noise(2, lazySize)))
	const text = "no consistent copy: the data would have to be copied: unsupported operation"
	_, err = m.ReadAt(p, 0)
	wantError(t, err, snapshot.ErrUnstable, "read "+name+": "+text)
	err = m.View(0, -1, func([]byte) error { return nil })
	wantError(t, err, snapshot.ErrUnstable, "view "+name+": "+text)
	if m.Bytes() != nil {
		t.Error("bytes of a lost snapshot")
	}
}

// Memory of the caller that faults is EFAULT, or a panic of View, and no reason to make a copy.
func TestLazyCallerFault(t *testing.T) {
	mounttest.Leaks(t)
	name, data := lazyFile(t)
	m := openLazy(t, snapshot.Config{}, name)
	must(t, m.Prefetch(0, -1))
	none, err := syscalls.MmapAnonymous(1 << 16)
	must(t, err)
	must(t, syscalls.Mprotect(none, false, false))
	defer syscalls.Munmap(none)
	if _, err := m.ReadAt(none, 0); !errors.Is(err, syscall.EFAULT) {
		t.Error(err)
	}
	p := make([]byte, 1000)
	_, err = m.ReadAt(p, 0)
	must(t, err)
	wantBytes(t, "ReadAt", p, data[:1000])
}

// The context ends Open.
func TestLazyContext(t *testing.T) {
	mounttest.Leaks(t)
	name, _ := lazyFile(t)
	ctx, cancel := context.WithCancel(context.Background())
	proceed := make(chan bool)
	systest.Intercept(t, func(call string) error {
		if call == "writeback" {
			cancel()
			<-proceed
		}
		return nil
	})
	_, err := snapshot.Config{Lazy: true}.Open(ctx, name)
	wantError(t, err, context.Canceled, "open "+name+": context canceled")
	close(proceed)
	_, err = snapshot.Config{Lazy: true}.Open(ctx, name)
	wantError(t, err, context.Canceled, "open "+name+": context canceled")
}

// Opening makes the same system calls for a file of any size.
func TestLazyOpenIsFlat(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, onDisk)
	var made [2]int
	for i, size := range []int64{256 << 10, 16 << 20} {
		name := join(dir, "f")
		write(t, name, noise(1, int(size)))
		must(t, openLazy(t, snapshot.Config{}, name).Close()) // the watcher runs
		total := 0
		undo := systest.Intercept(t, func(call string) error {
			total++
			return nil
		})
		must(t, openLazy(t, snapshot.Config{}, name).Close())
		undo()
		made[i] = total
	}
	if made[0] != made[1] {
		t.Errorf("%d calls, and %d of a larger file", made[0], made[1])
	}
}
