package benchmarks

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// BenchmarkScan reads a file from front to back, hot and cold. Prefetch is a Mmap of which all
// is read into memory first.
func BenchmarkScan(b *testing.B) {
	const size = 64 * mib
	each(b, mounttest.Known, func(b *testing.B, kind *mounttest.Kind, dir string) {
		name := file(b, dir, "f", size)
		for _, piece := range []int64{4 * kib, 256 * kib} {
			p := make([]byte, piece)
			b.Run(fmt.Sprint("cache=hot/piece=", piece), func(b *testing.B) {
				c := interleave.Comparison{Bytes: size}
				for _, o := range append([]opener{inMemory}, openers...) {
					r, err := o.open(name)
					check(b, err)
					defer closing(b, r)
					warm(b, r, size)
					c.Ways = append(c.Ways, interleave.Once(o.name, func() { scan(b, r, size, p) }))
				}
				c.Bench(b)
			})
		}
		if !kind.Has(mounttest.Reflinks) {
			return
		}
		for _, piece := range []int64{4 * kib, 256 * kib} {
			p := make([]byte, piece)
			b.Run(fmt.Sprint("cache=cold/piece=", piece), func(b *testing.B) {
				c := interleave.Comparison{Bytes: size}
				for _, o := range append([]opener{prefetching}, openers...) {
					r := reopened(b, o, name)
					c.Ways = append(c.Ways, interleave.Way{Name: o.name, Before: r.cold, Do: func(int) {
						if m, ok := r.readerAt.(prefetcher); ok {
							check(b, m.Prefetch(0, -1))
						}
						scan(b, r, size, p)
					}})
				}
				c.Bench(b)
			})
		}
	})
}

// A prefetcher is a Mmap that is not to be read before it is in memory.
type prefetcher struct{ *snapshot.Mmap }

var prefetching = opener{"Prefetch", func(name string) (readerAt, error) {
	m, err := snapshot.Open(name)
	return prefetcher{m}, err
}}

// BenchmarkReadByte reads 1 MiB byte by byte.
func BenchmarkReadByte(b *testing.B) {
	const size = mib
	each(b, mounttest.Known, func(b *testing.B, _ *mounttest.Kind, dir string) {
		name := file(b, dir, "f", size)
		f, err := os.Open(name)
		check(b, err)
		defer closing(b, f)
		m, err := snapshot.Open(name)
		check(b, err)
		defer closing(b, m)
		all := func(r io.ByteReader) {
			for range size {
				_, err := r.ReadByte()
				check(b, err)
			}
		}
		interleave.Comparison{Bytes: size, Ways: []interleave.Way{
			interleave.Once("bufio", func() { all(bufio.NewReader(io.NewSectionReader(f, 0, size))) }),
			interleave.Once("Reader", func() { all(adapters.NewReader(m)) }),
		}}.Bench(b)
	})
}
