package benchmarks

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// BenchmarkWriteTo copies a resident file to another file, to a pipe and to a TCP connection. An
// operation ends when the receiver has all bytes. Mmap and MmapMut are a Reader of that source;
// os.File is copied through a buffer of 128 KiB: sendfile and copy_file_range are hidden, as they
// copy nothing to the memory of the program and, on XFS and Btrfs, nothing at all.
func BenchmarkWriteTo(b *testing.B) {
	each(b, mounttest.Known, func(b *testing.B, _ *mounttest.Kind, dir string) {
		for _, size := range []int64{64 * kib, mib, 16 * mib} {
			for _, to := range []struct {
				name string
				open func(tb testing.TB, dir string, size int64) receiver
			}{{"file", toFile}, {"pipe", toPipe}, {"tcp", toTCP}} {
				b.Run(fmt.Sprintf("to=%s/size=%d", to.name, size), func(b *testing.B) {
					writingTo(b, file(b, dir, "from", size), size, to.open(b, dir, size)).Bench(b)
				})
			}
		}
	})
}

// A receiver is a destination of WriteTo.
type receiver struct {
	w       io.Writer
	prepare func() error // comes ahead of a copy
	wait    func() error // returns when all bytes of a copy have arrived
}

func nothing() error { return nil }

// A copier is a source with a cursor.
type copier interface {
	io.ReaderAt
	io.Seeker
	io.WriterTo
}

// writingTo compares copies of the file name to a receiver.
func writingTo(tb testing.TB, name string, size int64, to receiver) interleave.Comparison {
	f, err := os.Open(name)
	check(tb, err)
	tb.Cleanup(func() { closing(tb, f) })
	m, err := snapshot.Open(name)
	check(tb, err)
	tb.Cleanup(func() { closing(tb, m) })
	mut, err := snapshot.OpenMut(name)
	check(tb, err)
	tb.Cleanup(func() { closing(tb, mut) })
	changed, err := snapshot.OpenMut(name)
	check(tb, err)
	file := adapters.NewFile(changed)
	tb.Cleanup(func() { closing(tb, file) })

	c := interleave.Comparison{Bytes: size}
	for _, way := range []struct {
		name string
		from copier
	}{
		{"os.File", buffered{f, make([]byte, 128*kib)}},
		{"Mmap", adapters.NewReader(m)},
		{"MmapMut", adapters.NewReader(mut)},
		{"File", file},
	} {
		warm(tb, way.from, size)
		c.Ways = append(c.Ways, interleave.Once(way.name, func() {
			check(tb, to.prepare())
			_, err := way.from.Seek(0, io.SeekStart)
			check(tb, err)
			if n, err := way.from.WriteTo(to.w); n != size || err != nil {
				tb.Error(n, err)
			}
			check(tb, to.wait())
		}))
	}
	return c
}

// A buffered file is copied through a buffer.
type buffered struct {
	*os.File
	buf []byte
}

func (b buffered) WriteTo(w io.Writer) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{b.File}, b.buf)
}

func toFile(tb testing.TB, dir string, _ int64) receiver {
	f, err := os.Create(filepath.Join(dir, "to"))
	check(tb, err)
	tb.Cleanup(func() { closing(tb, f) })
	return receiver{f, func() error {
		_, err := f.Seek(0, io.SeekStart)
		return err
	}, nothing}
}

func toPipe(tb testing.TB, _ string, size int64) receiver {
	r, w, err := os.Pipe()
	check(tb, err)
	tb.Cleanup(func() { closing(tb, r) })
	tb.Cleanup(func() { closing(tb, w) })
	return receiver{w, nothing, drain(r, size)}
}

func toTCP(tb testing.TB, _ string, size int64) receiver {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(tb, err)
	defer closing(tb, l)
	w, err := net.Dial("tcp", l.Addr().String())
	check(tb, err)
	tb.Cleanup(func() { closing(tb, w) })
	r, err := l.Accept()
	check(tb, err)
	tb.Cleanup(func() { closing(tb, r) })
	return receiver{w, nothing, drain(r, size)}
}

// drain reads r until it is closed. Each call of the function that it returns waits for size bytes
// more.
func drain(r io.Reader, size int64) (wait func() error) {
	arrived := make(chan error, 1)
	go func() {
		buf := make([]byte, 128*kib)
		for left := size; ; {
			n, err := r.Read(buf[:min(left, int64(len(buf)))])
			if left -= int64(n); left == 0 {
				arrived <- nil
				left = size
			}
			if err != nil {
				arrived <- err
				return
			}
		}
	}()
	return func() error { return <-arrived }
}
