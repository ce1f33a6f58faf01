package benchmarks

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// BenchmarkAppend writes a new file from its beginning to its end, in pieces. An operation is all
// writes of a file; Create and Close do not count. The filesystem makes a difference: XFS, for
// example, writes all dirty pages to the disk when a file is made longer by ftruncate.
//
//promise:adapters.File.Write growth costs about as much as growth of an *os.File
func BenchmarkAppend(b *testing.B) {
	total := slices.Max(upTo(16*mib, 16*mib, 64*mib))
	each(b, mounttest.Known, func(b *testing.B, _ *mounttest.Kind, dir string) {
		for _, piece := range []int64{100, 1000, 4 * kib, 16 * kib, 64 * kib, mib} {
			b.Run(fmt.Sprint("buffer=0/piece=", piece), func(b *testing.B) {
				appending(b, dir, 0, piece, total).Bench(b)
			})
		}
		for _, buffer := range []int{4 * kib, 64 * kib, 128 * kib} {
			for _, piece := range []int64{100, 1000} {
				b.Run(fmt.Sprintf("buffer=%d/piece=%d", buffer, piece), func(b *testing.B) {
					appending(b, dir, buffer, piece, total).Bench(b)
				})
			}
		}
	})
}

// appending compares writers of total bytes, which is rounded up to whole pieces. If buffer is not
// 0, a bufio.Writer of that size gathers the pieces.
func appending(tb testing.TB, dir string, buffer int, piece, total int64) interleave.Comparison {
	p := make([]byte, piece)
	for i := range p {
		p[i] = byte(i)
	}
	n := (total + piece - 1) / piece
	c := interleave.Comparison{Bytes: n * piece}
	for _, way := range []struct {
		name   string
		create func(name string) (io.WriteCloser, error)
	}{
		{"os.File", createUnnamed},
		{"WriteGrow", func(name string) (io.WriteCloser, error) {
			m, err := snapshot.Create(name)
			return &growing{m, 0}, err
		}},
		{"File", func(name string) (io.WriteCloser, error) {
			m, err := snapshot.Create(name)
			return adapters.NewFile(m), err
		}},
	} {
		var w io.WriteCloser
		free := func() {
			if w != nil {
				closing(tb, w)
			}
		}
		tb.Cleanup(free)
		c.Ways = append(c.Ways, interleave.Way{
			Name: way.name,
			Before: func() {
				free()
				var err error
				w, err = way.create(filepath.Join(dir, "append"))
				check(tb, err)
			},
			Do: func(int) { writeAll(tb, w, buffer, p, n) },
		})
	}
	return c
}

// writeAll writes p to w, n times.
func writeAll(tb testing.TB, w io.Writer, buffer int, p []byte, n int64) {
	flush := func() error { return nil }
	if buffer > 0 {
		gather := bufio.NewWriterSize(w, buffer)
		w, flush = gather, gather.Flush
	}
	for range n {
		_, err := w.Write(p)
		check(tb, err)
	}
	check(tb, flush())
}

// createUnnamed creates a file and removes its name, so that Close frees it, as Close of a snapshot
// does that is not committed.
func createUnnamed(name string) (io.WriteCloser, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	return f, os.Remove(name)
}

// A growing MmapMut is a writer that appends by WriteGrow.
type growing struct {
	*snapshot.MmapMut
	size int64
}

func (g *growing) Write(p []byte) (int, error) {
	n, err := g.WriteGrow(p, g.size)
	g.size += int64(n)
	return n, err
}
