package benchmarks

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// BenchmarkChanged finds the pages that differ in two snapshots of a file of 1 GiB, of which some
// pages at random places were written between the two: by Changed, and by reading both snapshots,
// with all pages in the page cache. pages/op is the number of pages that Changed yields.
func BenchmarkChanged(b *testing.B) {
	each(b, mounttest.Reflinks, func(b *testing.B, _ *mounttest.Kind, dir string) {
		for _, pages := range []int{10, 1000, 10_000} {
			size := int64(1024 * mib)
			if testing.Short() {
				size = 64 * mib
			}
			b.Run("pages="+strconv.Itoa(pages), func(b *testing.B) {
				name := file(b, dir, "f", size)
				old := snapshotOf(b, name)
				f, err := os.OpenFile(name, os.O_RDWR, 0)
				check(b, err)
				defer closing(b, f)
				r := rand.New(rand.NewPCG(1, uint64(pages)))
				for range pages {
					_, err := f.WriteAt([]byte("new"), r.Int64N(size>>12)<<12)
					check(b, err)
				}
				check(b, f.Sync())
				changed := snapshotOf(b, name)
				check(b, old.Prefetch(0, -1))
				check(b, changed.Prefetch(0, -1))
				var found int64
				ways := []interleave.Way{
					interleave.Once("reading", func() { differing(b, old, changed) }),
					interleave.Once("Changed", func() {
						found = 0
						for r, err := range changed.Changed(context.Background(), old) {
							check(b, err)
							found += r.Len >> 12
						}
					}),
				}
				interleave.Comparison{Ways: ways}.Bench(b)
				b.ReportMetric(float64(found), "pages/op")
				check(b, os.Remove(name))
			})
		}
	})
}

// snapshotOf opens a snapshot until the benchmark ends.
func snapshotOf(b *testing.B, name string) *snapshot.Mmap {
	m, err := snapshot.Open(name)
	check(b, err)
	b.Cleanup(func() { closing(b, m) })
	return m
}

// differing returns how many pages differ, by reading both.
func differing(b *testing.B, old, changed *snapshot.Mmap) (n int) {
	const chunk = mib
	p, q := make([]byte, chunk), make([]byte, chunk)
	for off := int64(0); off < changed.Size(); off += chunk {
		for m, buf := range map[*snapshot.Mmap][]byte{old: p, changed: q} {
			_, err := m.ReadAt(buf, off)
			check(b, err)
		}
		if bytes.Equal(p, q) {
			continue
		}
		for i := 0; i < chunk; i += 4096 {
			if !bytes.Equal(p[i:i+4096], q[i:i+4096]) {
				n++
			}
		}
	}
	return n
}
