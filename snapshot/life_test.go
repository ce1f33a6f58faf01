//go:build linux

package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A slice of Bytes faults after Close; it does not show what is mapped next.
func TestStaleSlice(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100000))
		r, err := snapshot.Open(name) // not by open, which would keep it
		must(t, err)
		m, err := snapshot.OpenMut(name)
		must(t, err)
		stale := [][]byte{r.Bytes(), m.Bytes()}
		must(t, r.Close())
		must(t, m.Close())
		r, m = nil, nil
		for range 3 { // the objects are gone, their addresses are not
			runtime.GC()
			time.Sleep(time.Millisecond) // the cleanups run on a goroutine of their own
		}
		for i := range 100 {
			next := open(t, name)
			if b := next.Bytes(); &b[0] == &stale[0][0] || &b[0] == &stale[1][0] {
				t.Fatal("addresses used again, mapping", i)
			}
		}
		for _, b := range stale {
			wantFault(t, func() { _ = bytes.Clone(b[5000:5001]) })
		}
	})
}

// The memory of a View stays until the last of them ends, whatever is called inside, and is
// gone then.
func TestViewOutlivesEverything(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 100000)
		write(t, name, data)
		r := open(t, name)
		var kept []byte
		must(t, r.View(0, -1, func(b []byte) error {
			return r.View(10, 50000, func(c []byte) error {
				must(t, r.Close())
				wantBytes(t, "outer", b, data)
				wantBytes(t, "inner", c, data[10:50010])
				kept = b
				return nil
			})
		}))
		wantFault(t, func() { _ = bytes.Clone(kept[:1]) })

		m := openMut(t, name)
		must(t, m.View(0, -1, func(b []byte) error {
			must(t, m.Resize(100<<20)) // moves
			copy(b, "stored through the old memory")
			p := make([]byte, 29)
			_, err := m.ReadAt(p, 0)
			must(t, err)
			wantBytes(t, "the new memory", p, []byte("stored through the old memory"))
			must(t, m.Commit())
			must(t, m.Resize(50)) // cuts off what b shows
			must(t, m.Resize(100<<20))
			_ = bytes.Clone(b)
			must(t, m.Resize(50000))
			must(t, m.Close())
			wantBytes(t, "after Close", b[:29], []byte("stored through the old memory"))
			kept = b
			return nil
		}))
		wantFault(t, func() { _ = bytes.Clone(kept[:1]) })
	})
}

// After a Resize that moved, an old slice faults.
func TestStaleSliceOfResize(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 100000)
		write(t, name, data)
		m := openMut(t, name)
		stale := m.Bytes()
		must(t, m.Resize(10<<20))
		if b := m.Bytes(); &b[0] == &stale[0] {
			t.Fatal("did not move")
		}
		wantFault(t, func() { stale[0] = 1 })
		want := append(data, make([]byte, 10<<20-len(data))...)
		wantContents(t, m, want)
	})
}

// What a Resize to less cut off, and a View wrote over meanwhile, is zeros when the size grows
// again, and is in no commit.
func TestResizeZeros(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 100000)
		write(t, name, data)
		for _, size := range []int64{0, 1, 4096, 50000} {
			m := openMut(t, name)
			must(t, m.View(0, -1, func(b []byte) error {
				must(t, m.Resize(size))
				copy(b[size:], bytes.Repeat([]byte{'x'}, len(b)))
				must(t, m.Commit())
				return nil
			}))
			wantFile(t, name, data[:size])
			must(t, m.Resize(200000))
			want := append(bytes.Clone(data[:size]), make([]byte, 200000-size)...)
			wantContents(t, m, want)
			must(t, m.CommitAndClose())
			wantFile(t, name, want)
			write(t, name, data)
		}
		// Shrunk under a View, and committed without one.
		m := openMut(t, name)
		must(t, m.View(0, -1, func(b []byte) error { return m.Resize(10) }))
		must(t, m.CommitAndClose())
		wantFile(t, name, data[:10])
	})
}

// Growing in small steps maps rarely.
func TestResizeIsAmortised(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		m := create(t, join(dir, "f"))
		calls := snapshot.CountCalls(t)
		for size := int64(4096); size <= 64<<20; size += 4096 {
			must(t, m.Resize(size))
		}
		if n := calls("mmap") + calls("mremap"); n > 20 {
			t.Errorf("mapped %d times", n)
		}
	})
}

// View returns f's error, and what f panics with is not hidden.
func TestViewError(t *testing.T) {
	mounttest.Leaks(t)
	name := join(t.TempDir(), "f")
	write(t, name, noise(1, 100))
	for _, r := range []reader{open(t, name), openMut(t, name)} {
		mine := errors.New("mine")
		if err := r.View(0, -1, func([]byte) error { return mine }); err != mine { //nolint:errorlint // the error itself is promised
			t.Error(err)
		}
		func() {
			defer func() {
				if v := recover(); v != "mine" {
					t.Error(v)
				}
			}()
			_ = r.View(0, -1, func([]byte) error { panic("mine") })
		}()
		// A fault elsewhere is not ours to hide.
		foreign, err := syscalls.Mmap(int(openFile(t, name, os.O_RDONLY).Fd()), 100, false)
		must(t, err)
		must(t, syscalls.Poison(foreign))
		if !snapshot.Faults(func() {
			_ = r.View(0, -1, func([]byte) error { foreign = bytes.Clone(foreign); return nil })
		}) {
			t.Error("a fault in other memory disappeared")
		}
		if !snapshot.Faults(func() { _, _ = r.ReadAt(foreign, 0) }) {
			t.Error("a fault in the caller's memory disappeared")
		}
		must(t, syscalls.Munmap(foreign))
		must(t, r.Close()) // no reference was lost
		if err := r.View(0, 0, func([]byte) error { return nil }); !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
	}
}

// A Goexit inside f, as by testing.T.FailNow, loses no reference.
func TestViewGoexit(t *testing.T) {
	mounttest.Leaks(t)
	name := join(t.TempDir(), "f")
	write(t, name, noise(1, 100))
	m := openMut(t, name)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.View(0, -1, func([]byte) error { runtime.Goexit(); return nil })
	}()
	<-done
	calls := snapshot.CountCalls(t)
	must(t, m.CommitAndClose())
	if calls("ficlone") > 0 {
		t.Error("a View still counts")
	}
}

// The end of the private file cannot be changed by others, so a truncated file is the nearest
// that a test comes to a disk error without a special disk: the error is an error, of View and
// of ReadAt.
func TestFaultIsAnError(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100000))
		r, m := open(t, name), openMut(t, name)
		for _, r := range []reader{r, m} {
			snapshot.TruncatePrivate(t, r, 8192)
			err := r.View(0, -1, func(b []byte) error { _ = bytes.Clone(b); return nil })
			var pathErr *fs.PathError
			if !errors.As(err, &pathErr) || pathErr.Op != "view" || pathErr.Path != name {
				t.Error(err)
			}
			p := make([]byte, 100000)
			if n, err := r.ReadAt(p, 0); n != 8192 || err == nil {
				t.Errorf("%d, %v", n, err)
			}
			wantBytes(t, "what could be read", p[:8192], noise(1, 100000)[:8192])
			must(t, r.Close())
		}
	})
}

// Snapshots that are dropped without Close are given back by the garbage collector,
// descriptors, memory and all; only memory that Bytes returned is not, because somebody may
// have it.
func TestDropped(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100000))
		for range mounttest.Count(50, 500, 5000) {
			r, err := snapshot.Open(name)
			must(t, err)
			must(t, r.View(0, -1, func(b []byte) error { return nil }))
			m, err := snapshot.OpenMut(name)
			must(t, err)
			must(t, m.Resize(200000))
		}
		runtime.GC()
	})
}

// Closed snapshots of huge files do not use the addresses up, though the garbage collector does not know how large they
// are.
func TestAddressesDoNotRunOut(t *testing.T) {
	mounttest.EachOf(t, []string{"xfs", "btrfs"}, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, nil)
		must(t, os.Truncate(name, 1<<40))
		for i := range mounttest.Count(300, 1000, 10000) {
			m, err := snapshot.Open(name)
			if err != nil {
				t.Fatal(i, err)
			}
			if i%2 == 0 {
				_ = m.Bytes() // through the quarantine
			}
			must(t, m.Close())
		}
	})
}

// A fault in a read that crosses the end does not hide the end.
func TestFaultAtTheEnd(t *testing.T) {
	mounttest.Leaks(t)
	name := join(t.TempDir(), "f")
	data := noise(1, 4096)
	write(t, name, data)
	for _, m := range []reader{open(t, name), openMut(t, name)} {
		snapshot.BreakMapping(t, m) // as a disk error would that is gone the next moment
		p := make([]byte, 5000)
		if n, err := m.ReadAt(p, 0); n != 4096 || err != io.EOF { //nolint:errorlint // io.EOF itself is promised
			t.Errorf("%d, %v", n, err)
		}
		wantBytes(t, "ReadAt", p[:4096], data)
	}
}

// A panic in Progress, which its caller may recover from, leaves no lock behind.
func TestPanicInProgress(t *testing.T) {
	mounttest.EachOf(t, []string{"ext4", "tmpfs"}, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 10000))
		var armed bool
		m, err := snapshot.Config{Progress: func(_, _ int64) {
			if armed {
				panic("mine")
			}
		}}.OpenMut(context.Background(), name)
		must(t, err)
		armed = true
		func() {
			defer func() {
				if r := recover(); r != "mine" {
					t.Error(r)
				}
			}()
			_ = m.Commit()
		}()
		_, err = m.WriteAt([]byte("x"), 0)
		must(t, err)
		must(t, m.Close())
		wantNames(t, dir, "f")
	})
}
