package adapters_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openOS(t testing.TB, name string, flag int) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, flag, 0)
	check(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// A directWriter overwrites a file by one write(2), past the page cache (O_DIRECT). The bytes come
// from memory that the kernel has to read from the disk first, so that the call takes long.
type directWriter struct {
	name  string
	next  int
	last  *os.File  // of the write before, which may be open still
	names [2]string // of two files, one full of "x" and one full of "y"
	from  [2][]byte // mappings of them
}

const directSize = 16 << 20

func newDirectWriter(t *testing.T, dir string) *directWriter {
	w := &directWriter{name: filepath.Join(dir, "f")}
	for i, b := range []string{"x", "y"} {
		w.names[i] = filepath.Join(dir, b)
		for _, name := range []string{w.names[i], w.name} {
			put(t, "", name, bytes.Repeat([]byte(b), directSize))
			f := openOS(t, name, os.O_RDWR)
			check(t, f.Sync())
			check(t, f.Close())
		}
		f := openOS(t, w.names[i], os.O_RDONLY)
		mem, err := unix.Mmap(int(f.Fd()), 0, directSize, unix.PROT_READ, unix.MAP_SHARED)
		check(t, err)
		t.Cleanup(func() { check(t, unix.Munmap(mem)) })
		check(t, f.Close())
		w.from[i] = mem
	}
	return w
}

// begin returns when a write is in progress: it has set the times. ended is closed when the writer
// has closed the file or, if stays is set, when the write has ended.
func (w *directWriter) begin(t *testing.T, stays bool) (ended chan struct{}) {
	t.Helper()
	from := w.from[w.next]
	check(t, unix.Madvise(from, unix.MADV_DONTNEED))
	source := openOS(t, w.names[w.next], os.O_RDONLY)
	check(t, unix.Fadvise(int(source.Fd()), 0, 0, unix.FADV_DONTNEED))
	check(t, source.Close())
	w.next = 1 - w.next
	if w.last != nil {
		_ = w.last.Close()
	}
	f := openOS(t, w.name, os.O_WRONLY|unix.O_DIRECT)
	w.last = f
	var before, now unix.Stat_t
	check(t, unix.Stat(w.name, &before))
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		if _, err := f.WriteAt(from, 0); err != nil {
			t.Error(err)
		}
		if !stays {
			_ = f.Close()
		}
	}()
	for now = before; now.Ctim == before.Ctim; {
		check(t, unix.Stat(w.name, &now))
	}
	return ended
}
