package snapshot_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// View returns f's error, and what f panics with is not hidden.
//
//promise:snapshot.Mmap.View View returns the error of f and passes panics other than faults on
func TestViewError(t *testing.T) { smallAndPrivate(t, viewError) }

func viewError(t *testing.T) {
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
		must(t, syscalls.MapNone(foreign))
		if !systest.Faults(func() {
			_ = r.View(0, -1, func([]byte) error { foreign = bytes.Clone(foreign); return nil })
		}) {
			t.Error("a fault in other memory disappeared")
		}
		if !systest.Faults(func() { _, _ = r.ReadAt(foreign, 0) }) {
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
func TestViewGoexit(t *testing.T) { smallAndPrivate(t, viewGoexit) }

func viewGoexit(t *testing.T) {
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
	calls := systest.CountCalls(t)
	must(t, m.CommitAndClose())
	if calls("ficlone") > 0 {
		t.Error("a View still counts")
	}
}

// The end of the private file cannot be changed by others, so a truncated file is the nearest
// that a test comes to a disk error without a special disk: the error is an error, of View and
// of ReadAt.
//
//promise:snapshot.Mmap.ReadAt a fault in the mapping is an error of ReadAt and not a crash
//promise:snapshot.Mmap.View a fault in the mapping is an error of View and not a crash
func TestFaultIsAnError(t *testing.T) {
	privateFiles(t)
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
