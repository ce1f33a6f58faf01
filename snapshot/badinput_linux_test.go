package snapshot_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// What cannot be opened is refused with an error that says what and why, and without hanging:
// opening a FIFO to read it would.
//
//promise:snapshot.Config.Open Open refuses FIFOs, directories and devices, and does not block
func TestOpenBadNames(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		t.Chdir(dir)
		write(t, "file", nil)
		must(t, os.Mkdir("dir", 0o755))
		must(t, syscall.Mkfifo("fifo", 0o644))
		must(t, os.Symlink("loop", "loop"))
		must(t, os.Symlink("nowhere", "dangling"))
		long := strings.Repeat("n", 256)
		for _, test := range []struct {
			name, why string
			is        error
			create    string // why Create refuses it, if for another reason
		}{
			{"missing", "no such file or directory", fs.ErrNotExist, "-"},
			{"missing/f", "no such file or directory", syscall.ENOENT, ""},
			{"", "no such file or directory", fs.ErrNotExist, ""},
			{"dangling", "no such file or directory", fs.ErrNotExist, "-"},
			{"dir", "is a directory", syscall.EISDIR, ""},
			{"dir/", "is a directory", syscall.EISDIR, ""},
			{".", "is a directory", syscall.EISDIR, ""},
			{"..", "is a directory", syscall.EISDIR, ""},
			{"/", "is a directory", syscall.EISDIR, ""},
			{"fifo", "a FIFO, not a regular file: invalid argument", fs.ErrInvalid, ""},
			{"/dev/null", "a character device, not a regular file: invalid argument", fs.ErrInvalid, ""},
			{"file/", "not a directory", syscall.ENOTDIR, ""},
			{"file/f", "not a directory", syscall.ENOTDIR, ""},
			{"loop", "too many levels of symbolic links", syscall.ELOOP, ""},
			{long, "file name too long", syscall.ENAMETOOLONG, ""},
			{"nul\x00", "invalid argument", syscall.EINVAL, ""},
		} {
			_, err := snapshot.Open(test.name)
			wantError(t, err, test.is, "open "+test.name+": "+test.why)
			_, err = snapshot.OpenMut(test.name)
			wantError(t, err, test.is, "open "+test.name+": "+test.why)
			if test.create == "" {
				_, err = snapshot.Create(test.name)
				wantError(t, err, test.is, "create "+test.name+": "+test.why)
			}
		}
		wantNames(t, dir, "dangling", "dir", "fifo", "file", "loop")
	})
}

//promise:snapshot.Config.FromFile FromFile refuses closed, irregular and write-only files
func TestFromFileRefuses(t *testing.T) {
	mounttest.Leaks(t)
	dir := t.TempDir()
	name := join(dir, "f")
	write(t, name, noise(1, 10))
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	defer w.Close()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	must(t, err)
	socket, other := os.NewFile(uintptr(pair[0]), "socket"), os.NewFile(uintptr(pair[1]), "other")
	defer socket.Close()
	defer other.Close()
	closed := openFile(t, name, os.O_RDONLY)
	must(t, closed.Close())
	for _, test := range []struct {
		f   *os.File
		is  error
		why string
	}{
		{nil, fs.ErrInvalid, "open : invalid argument"},
		{closed, fs.ErrClosed, "open " + name + ": file already closed"},
		{openFile(t, dir, os.O_RDONLY), syscall.EISDIR, "open " + dir + ": is a directory"},
		{openFile(t, name, os.O_WRONLY), fs.ErrInvalid, "open " + name + ": not open for reading: invalid argument"},
		{openFile(t, os.DevNull, os.O_RDONLY), fs.ErrInvalid, "open /dev/null: a character device, not a regular file: invalid argument"},
		{socket, fs.ErrInvalid, "open socket: a socket, not a regular file: invalid argument"},
		{r, fs.ErrInvalid, "open |0: a FIFO, not a regular file: invalid argument"},
	} {
		_, err := snapshot.FromFile(test.f)
		wantError(t, err, test.is, test.why)
	}
}

//promise:snapshot.Config.Open a file that does not fit into the address space is a clear error
func TestBadSizes(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 10000)
		write(t, name, data)
		m := openMut(t, name)
		wantError(t, m.Resize(-1), fs.ErrInvalid, "resize "+name+": negative size -1: invalid argument")
		for _, size := range []int64{math.MaxInt64, math.MaxInt64 - 4096, 1 << 62, 1 << 56} {
			if err := m.Resize(size); err == nil || !strings.HasPrefix(err.Error(), "resize "+name+": ") {
				t.Errorf("Resize(%d): %v", size, err)
			}
		}
		wantContents(t, m, data)
		must(t, m.Commit())
		wantFile(t, name, data)
	})
}

// Offsets that make no sense are errors, never panics.
//
//promise:snapshot.Mmap.ReadAt offsets out of range give the errors of os.File.ReadAt
//promise:snapshot.Mmap.View a View of bytes out of range is fs.ErrInvalid
//promise:snapshot.Mmap.Prefetch a Prefetch of bytes out of range is fs.ErrInvalid
//promise:snapshot.MmapMut.WriteAt WriteAt beyond the end does not grow and returns io.ErrShortWrite
//promise:snapshot.MmapMut.View a View of bytes out of range is fs.ErrInvalid
//promise:snapshot.MmapMut.Prefetch a Prefetch of bytes out of range is fs.ErrInvalid
func TestBadOffsets(t *testing.T) { smallAndPrivate(t, badOffsets) }

func badOffsets(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 10000))
		r, m := open(t, name), openMut(t, name)
		p := make([]byte, 10)
		for _, r := range []reader{r, m} {
			for _, off := range []int64{-1, math.MinInt64} {
				n, err := r.ReadAt(p, off)
				wantError(t, err, err, "readat "+name+": negative offset")
				if n != 0 {
					t.Error(n)
				}
			}
			for off, want := range map[int64]int{9990: 10, 9991: 9, 9999: 1, 10000: 0, 10001: 0, math.MaxInt64: 0} {
				n, err := r.ReadAt(p, off)
				if n != want || (err == io.EOF) != (want < 10) || err != nil && err != io.EOF { //nolint:errorlint // io.EOF itself is promised
					t.Errorf("ReadAt(10, %d): %d, %v", off, n, err)
				}
				if n, err := r.ReadAt(nil, off); n != 0 || err != nil {
					t.Errorf("ReadAt(0, %d): %d, %v", off, n, err)
				}
			}
			for _, span := range [][2]int64{{-1, 1}, {0, 10001}, {10000, 1}, {10001, 0}, {10001, -1}, {1, math.MaxInt64}, {math.MaxInt64, math.MaxInt64}, {math.MinInt64, -1}} {
				err := r.View(span[0], span[1], func([]byte) error { t.Error("called"); return nil })
				if !errors.Is(err, fs.ErrInvalid) {
					t.Errorf("View(%d, %d): %v", span[0], span[1], err)
				}
				if err := r.Prefetch(span[0], span[1]); !errors.Is(err, fs.ErrInvalid) {
					t.Errorf("Prefetch(%d, %d): %v", span[0], span[1], err)
				}
			}
			must(t, r.View(10000, 0, func(b []byte) error { return nil }))
			must(t, r.View(10000, -1, func(b []byte) error { return nil }))
		}
		n, err := m.WriteAt(p, -1)
		wantError(t, err, err, "writeat "+name+": negative offset")
		if n != 0 {
			t.Error(n)
		}
		for off, want := range map[int64]int{9990: 10, 9991: 9, 10000: 0, math.MaxInt64: 0} {
			n, err := m.WriteAt(p, off)
			if n != want || errors.Is(err, io.ErrShortWrite) != (want < 10) {
				t.Errorf("WriteAt(10, %d): %d, %v", off, n, err)
			}
		}
	})
}

// Every method says after Close that the snapshot is closed.
//
//promise:snapshot.Mmap.Close after Close each method and a second Close return fs.ErrClosed
//promise:snapshot.Mmap.Bytes Bytes is nil after Close
//promise:snapshot.MmapMut.Close after Close each method and a second Close return fs.ErrClosed
//promise:snapshot.MmapMut.Bytes Bytes is nil after Close
//promise:snapshot.Mmap.Name Name returns the name that was given to Open
//promise:snapshot.MmapMut.Name Name returns the name that was given to OpenMut
func TestUseAfterClose(t *testing.T) { smallAndPrivate(t, useAfterClose) }

func useAfterClose(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		for _, size := range []int{0, 10000} {
			name := join(dir, "f"+strconv.Itoa(size))
			write(t, name, noise(1, size))
			r, m := open(t, name), openMut(t, name)
			for _, r := range []reader{r, m} {
				must(t, r.Close())
				for op, f := range map[string]func() error{
					"read":     func() error { _, err := r.ReadAt(make([]byte, 1), 0); return err },
					"view":     func() error { return r.View(0, -1, func([]byte) error { t.Error("called"); return nil }) },
					"stat":     func() error { _, err := r.Stat(); return err },
					"prefetch": func() error { return r.Prefetch(0, -1) },
					"close":    r.Close,
				} {
					wantError(t, f(), fs.ErrClosed, op+" "+name+": file already closed")
				}
				if r.Bytes() != nil {
					t.Error("Bytes after Close")
				}
				if r.Name() != name {
					t.Error(r.Name())
				}
			}
			_, err := m.WriteAt([]byte{1}, 0)
			wantError(t, err, fs.ErrClosed, "write "+name+": file already closed")
			for op, f := range map[string]func() error{
				"resize": func() error { return m.Resize(5) },
				"commit": m.Commit,
			} {
				wantError(t, f(), fs.ErrClosed, op+" "+name+": file already closed")
			}
			for _, f := range []func(string) error{m.Link, m.CommitTo} {
				err := f(join(dir, "other"))
				e, ok := err.(*os.LinkError) //nolint:errorlint // the outermost is promised
				if !errors.Is(err, fs.ErrClosed) || !ok || e.Old != name || e.New != join(dir, "other") {
					t.Errorf("%T %v", err, err)
				}
			}
		}
		wantNames(t, dir, "f0", "f10000")
	})
}

// A context that has ended keeps everything from being opened.
//
//promise:snapshot.Config.Open Open fails if the context has ended
//promise:snapshot.Config.OpenMut OpenMut fails if the context has ended
//promise:snapshot.Config.Create Create fails if the context has ended
//promise:snapshot.Config.FromFile FromFile fails if the context has ended
func TestOpenContext(t *testing.T) { smallAndPrivate(t, openContext) }

func openContext(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		var c snapshot.Config
		_, err := c.Open(ctx, name)
		wantError(t, err, context.Canceled, "open "+name+": context canceled")
		_, err = c.OpenMut(ctx, name)
		wantError(t, err, context.Canceled, "open "+name+": context canceled")
		_, err = c.Create(ctx, name)
		wantError(t, err, context.Canceled, "create "+name+": context canceled")
		_, err = c.FromFile(ctx, openFile(t, name, os.O_RDONLY))
		wantError(t, err, context.Canceled, "open "+name+": context canceled")
	})
}
