package snapshot_test

import (
	"bytes"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"golang.org/x/sys/unix"
)

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
	w := &directWriter{name: join(dir, "f")}
	for i, b := range []string{"x", "y"} {
		w.names[i] = join(dir, b)
		for _, name := range []string{w.names[i], w.name} {
			write(t, name, bytes.Repeat([]byte(b), directSize))
			f := openFile(t, name, os.O_RDWR)
			must(t, f.Sync())
			must(t, f.Close())
		}
		f := openFile(t, w.names[i], os.O_RDONLY)
		mem, err := unix.Mmap(int(f.Fd()), 0, directSize, unix.PROT_READ, unix.MAP_SHARED)
		must(t, err)
		t.Cleanup(func() { must(t, unix.Munmap(mem)) })
		must(t, f.Close())
		w.from[i] = mem
	}
	return w
}

// begin returns when a write is in progress: it has set the times. ended is closed when the writer
// has closed the file or, if stays is set, when the write has ended.
func (w *directWriter) begin(t *testing.T, stays bool) (ended chan struct{}) {
	t.Helper()
	from := w.from[w.next]
	must(t, unix.Madvise(from, unix.MADV_DONTNEED))
	source := openFile(t, w.names[w.next], os.O_RDONLY)
	must(t, unix.Fadvise(int(source.Fd()), 0, 0, unix.FADV_DONTNEED))
	must(t, source.Close())
	w.next = 1 - w.next
	if w.last != nil {
		_ = w.last.Close()
	}
	f := openFile(t, w.name, os.O_WRONLY|unix.O_DIRECT)
	w.last = f
	var before, now unix.Stat_t
	must(t, unix.Stat(w.name, &before))
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
		must(t, unix.Stat(w.name, &now))
	}
	return ended
}

// waiting returns a Config.Progress that waits in the middle of the first copy.
func waiting(ended chan struct{}) func(done, total int64) {
	return func(done, total int64) {
		if done >= total/2 && done < total {
			<-ended
		}
	}
}

// refuseLeases makes every lease fail.
func refuseLeases(t *testing.T, errno syscall.Errno) {
	systest.Intercept(t, func(call string) error {
		if call == "setlease" {
			return errno
		}
		return nil
	})
}

// An outcome counts what came of opening a file.
type outcome struct {
	copies, torn map[snapshot.Method]int
	unstable     int
}

// isMixed reports whether a snapshot has bytes of the write, but not all.
func isMixed(t *testing.T, m interface {
	View(off, n int64, f func(b []byte) error) error
}) (mixed bool) {
	must(t, m.View(0, -1, func(b []byte) error {
		written := bytes.Count(b, []byte("x"))
		mixed = written > 0 && written < len(b)
		return nil
	}))
	return mixed
}
