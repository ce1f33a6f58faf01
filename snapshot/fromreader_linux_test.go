package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// readAtFunc is an io.ReaderAt.
type readAtFunc func(p []byte, off int64) (int, error)

func (f readAtFunc) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }

// A snapshot of a reader can do what every snapshot can, wherever the contents are.
//
//promise:snapshot.Config.FromReaderAt the snapshot has the first bytes of the reader, not those behind
//promise:snapshot.Config.FromReaderAt more than 128 KiB lie in TempDir, or in memory, up to 64 MiB
//promise:snapshot.Config.FromReaderAt Method is None, Settled false, and Stat describes a regular file
//promise:snapshot.Config.FromReaderAt the reader is read in pieces of 1 MiB at most, and not after
//promise:snapshot.FromReaderAt FromReaderAt takes any io.ReaderAt, and the name is for errors
func TestFromReaderAt(t *testing.T) {
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		data := noise(1, 3<<20+17)
		for _, size := range []int{0, 1, 128 << 10, 128<<10 + 1, len(data) - 1, len(data)} {
			for errno, where := range map[syscall.Errno]string{
				0: "in the temporary directory " + dir, syscall.EROFS: "in memory",
			} {
				next := int64(0)
				r := readAtFunc(func(p []byte, off int64) (int, error) {
					if off != next || len(p) > 1<<20 {
						t.Errorf("%d bytes at %d, not %d", len(p), off, next)
					}
					next += int64(len(p))
					return bytes.NewReader(data).ReadAt(p, off)
				})
				undo := func() {}
				if errno != 0 {
					undo = tmpfiles(t, 1, errno)
				}
				c := snapshot.Config{TempDir: dir}
				m, err := c.FromReaderAt(context.Background(), r, int64(size), "up\nload")
				undo()
				must(t, err)
				read := next
				if size <= 128<<10 {
					where = "in the Go heap"
				}
				text := m.String()
				if !strings.Contains(text, where) || !strings.HasPrefix(text, `"up\nload": `) {
					t.Error(text)
				}
				wantContents(t, m, data[:size])
				fi, err := m.Stat()
				must(t, err)
				if fi.Size() != int64(size) || fi.Mode() != 0o444 || !fi.ModTime().IsZero() {
					t.Error(fs.FormatFileInfo(fi))
				}
				if m.Method() != snapshot.None || m.Settled() || m.Name() != "up\nload" || next != read {
					t.Error(m.Method(), m.Settled(), m.Name(), next)
				}
				must(t, m.Link(join(dir, "linked")))
				wantFile(t, join(dir, "linked"), data[:size])
				must(t, syscall.Unlink(join(dir, "linked")))
				must(t, m.Close())
			}
		}
		wantNames(t, dir)
	})
}

// Arguments that cannot become a snapshot are an error, and nothing is left behind.
//
//promise:snapshot.Config.FromReaderAt a reader that ends too early is io.ErrUnexpectedEOF
//promise:snapshot.Config.FromReaderAt errors of the reader are found by errors.Is, also with all bytes
//promise:snapshot.Config.FromReaderAt io.EOF with the last bytes is no error
//promise:snapshot.Config.FromReaderAt NoCopy is errors.ErrUnsupported, RequireConsistent ErrUnstable
//promise:snapshot.Config.FromReaderAt a panic of the reader leaves nothing behind
func TestFromReaderAtFails(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Private)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	data := noise(1, 2<<20)
	whole := bytes.NewReader(data)
	fails := func(n int, err error) io.ReaderAt {
		return readAtFunc(func(p []byte, off int64) (int, error) {
			if off == 0 && len(p) == 1<<20 {
				return len(p), nil
			}
			return min(n, len(p)+1), err
		})
	}
	errSum := errors.New("wrong checksum")
	full := func(size int64, err error) io.ReaderAt { // err comes with the last bytes
		return readAtFunc(func(p []byte, off int64) (int, error) {
			if off+int64(len(p)) < size {
				return len(p), nil
			}
			return len(p), err
		})
	}
	for _, size := range []int64{100, 2 << 20} {
		for _, test := range []struct {
			c    snapshot.Config
			ctx  context.Context
			r    io.ReaderAt
			size int64
			is   error
			text string // part of it
		}{
			{r: nil, size: size, is: fs.ErrInvalid},
			{r: whole, size: -1, is: fs.ErrInvalid, text: "negative size -1"},
			{r: whole, size: 2<<20 + size, is: io.ErrUnexpectedEOF, text: "the reader ended at 2097152 of"},
			{r: fails(10, nil), size: size, is: io.ErrUnexpectedEOF, text: "the reader ended at"},
			{r: fails(10, io.EOF), size: size, is: io.ErrUnexpectedEOF, text: "the reader ended at"},
			{r: fails(0, iotest.ErrTimeout), size: size, is: iotest.ErrTimeout, text: "open up: timeout"},
			{r: fails(-1, nil), size: size, text: "the reader returned -1 of"},
			{r: fails(1<<30, nil), size: size, text: "the reader returned"},
			{r: full(size, errSum), size: size, is: errSum, text: "open up: wrong checksum"},
			{r: whole, size: size, ctx: ended, is: context.Canceled},
			{r: whole, size: 0, ctx: ended, is: context.Canceled},
			{r: whole, size: size, c: snapshot.Config{NoCopy: true}, is: errors.ErrUnsupported},
			{r: whole, size: size, c: snapshot.Config{RequireConsistent: true}, is: snapshot.ErrUnstable},
		} {
			if test.ctx == nil {
				test.ctx = context.Background()
			}
			test.c.TempDir = dir
			m, err := test.c.FromReaderAt(test.ctx, test.r, test.size, "up")
			if m != nil || err == nil || test.is != nil && !errors.Is(err, test.is) ||
				!strings.Contains(err.Error(), test.text) {
				t.Errorf("%v, %v, want %v, %q", m, err, test.is, test.text)
			}
		}
		c := snapshot.Config{TempDir: dir}
		m, err := c.FromReaderAt(context.Background(), full(size, io.EOF), size, "up")
		must(t, err)
		wantContents(t, m, make([]byte, size))
		must(t, m.Close())
		func() {
			defer func() { _ = recover() }()
			r := readAtFunc(func([]byte, int64) (int, error) { panic("r") })
			_, err := c.FromReaderAt(context.Background(), r, size, "up")
			t.Error("no panic", err)
		}()
	}
	systest.Intercept(t, func(call string) error {
		if call == "tmpfile excl" {
			return syscall.EROFS
		}
		return nil
	})
	_, err := snapshot.Config{TempDir: dir}.FromReaderAt(context.Background(), whole, 64<<20+1, "up")
	wantError(t, err, errors.ErrUnsupported, "open up: temporary directory "+dir+
		": read-only file system; memory: 67108865 bytes are more than the 67108864 allowed there: unsupported operation")
}

// Whichever call fails: the copy lies elsewhere, or there is an error and nothing is left.
//
//promise:snapshot.Config.FromReaderAt if a system call fails, nothing is left behind
func TestFromReaderAtFailures(t *testing.T) {
	mounttest.Leaks(t)
	data := noise(1, 300_000)
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
		failEach(t, errno, func(arm func(), disarm func() string) {
			arm()
			m, err := snapshot.FromReaderAt(bytes.NewReader(data), int64(len(data)), "up")
			disarm()
			if err != nil {
				if !errors.Is(err, errno) {
					t.Error(err)
				}
				return
			}
			wantContents(t, m, data)
			must(t, m.Close())
		})
	}
}
