package benchmarks

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A writerAt is what is compared.
type writerAt interface {
	io.WriterAt
	io.Closer
}

var writers = []struct {
	name string
	open func(name string) (writerAt, error)
}{
	{"os.File", func(name string) (writerAt, error) { return os.OpenFile(name, os.O_RDWR, 0) }},
	{"MmapMut", func(name string) (writerAt, error) { return snapshot.OpenMut(name) }},
}

// BenchmarkWriteAt stores at random: hot, into pages that were stored to before, or for the
// first time, into 256 pages of a reflink, where each store makes the filesystem find a place
// for a copy of the page.
func BenchmarkWriteAt(b *testing.B) {
	const fileSize = 16 * mib
	each(b, mounttest.Known, func(b *testing.B, kind *mounttest.Kind, dir string) {
		name := file(b, dir, "f", fileSize)
		for _, size := range []int64{64, 4 * kib, 64 * kib} {
			for _, g := range goroutines() {
				b.Run(fmt.Sprintf("store=hot/size=%d/goroutines=%d", size, g), func(b *testing.B) {
					c := interleave.Comparison{Bytes: size}
					for _, o := range writers {
						w, err := o.open(name)
						check(b, err)
						defer closing(b, w)
						for range 2 { // by system calls, and through the mapping
							_, err = w.WriteAt(make([]byte, fileSize), 0)
							check(b, err)
						}
						c.Ways = append(c.Ways, interleave.Way{Name: o.name, Do: func(n int) {
							parallel(g, n, func(n int) { writeSome(b, w, n, size, fileSize) })
						}})
					}
					c.Bench(b)
				})
			}
		}
		if !kind.Has(mounttest.Reflinks) {
			return
		}
		const size = 4 * kib
		for _, g := range goroutines() {
			b.Run(fmt.Sprintf("store=first/size=%d/goroutines=%d", size, g), func(b *testing.B) {
				c := interleave.Comparison{Bytes: size, Batch: 256}
				for _, o := range writers {
					var w writerAt
					defer func() { closing(b, w) }()
					before := func() {
						if w != nil {
							closing(b, w)
						}
						var err error
						w, err = o.open(cold(b, name))
						check(b, err)
					}
					c.Ways = append(c.Ways, interleave.Way{Name: o.name, Before: before, Do: func(n int) {
						parallel(g, n, func(n int) { writeSome(b, w, n, size, fileSize) })
					}})
				}
				c.Bench(b)
			})
		}
	})
}

// writeSome stores size bytes n times, somewhere, at multiples of size.
func writeSome(tb testing.TB, w io.WriterAt, n int, size, fileSize int64) {
	p, rnd := make([]byte, size), rand.New(rand.NewPCG(rand.Uint64(), 2))
	for range n {
		if _, err := w.WriteAt(p, rnd.Int64N(fileSize/size)*size); err != nil {
			tb.Error(err)
		}
	}
}
