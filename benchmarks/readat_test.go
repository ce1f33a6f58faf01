package benchmarks

import (
	"fmt"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// BenchmarkReadAt reads at random, on one goroutine and on one for each core. Hot is what is in
// memory; cold is a file of which nothing is in the page cache of the filesystem under test
// (that of the machine below its loop device has it), 256 reads at a time.
//
//promise:snapshot.Mmap.ReadAt ReadAt of resident pages costs little more than a copy from a mapping
func BenchmarkReadAt(b *testing.B) {
	sizes := []int64{64, 4 * kib, 64 * kib}
	if !testing.Short() {
		sizes = []int64{64, 512, 4 * kib, 16 * kib, 64 * kib, mib}
	}
	each(b, mounttest.Known, func(b *testing.B, kind *mounttest.Kind, dir string) {
		const hot, cold = 16 * mib, 64 * mib
		name := file(b, dir, "hot", hot)
		for _, size := range sizes {
			for _, g := range goroutines() {
				b.Run(fmt.Sprintf("size=%d/cache=hot/goroutines=%d", size, g), func(b *testing.B) {
					readingHot(b, name, hot, size, g).Bench(b)
				})
			}
		}
		if !kind.Has(mounttest.Reflinks) {
			return
		}
		name = file(b, dir, "cold", cold)
		for _, size := range []int64{4 * kib, 64 * kib} {
			for _, g := range goroutines() {
				b.Run(fmt.Sprintf("size=%d/cache=cold/goroutines=%d", size, g), func(b *testing.B) {
					readingCold(b, name, cold, size, g).Bench(b)
				})
			}
		}
	})
}

// readingCold compares reads of size bytes from files of which nothing is in memory.
func readingCold(tb testing.TB, name string, fileSize, size int64, g int) interleave.Comparison {
	c := interleave.Comparison{Bytes: size, Batch: 256}
	for _, o := range openers {
		r := reopened(tb, o, name)
		c.Ways = append(c.Ways, interleave.Way{Name: o.name, Before: r.cold, Do: func(n int) {
			parallel(g, n, func(n int) { readSome(tb, r, n, size, fileSize) })
		}})
	}
	return c
}
