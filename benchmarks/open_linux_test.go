package benchmarks

import (
	"fmt"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

func openingMut(tb testing.TB, name string) interleave.Way {
	return interleave.Once("MmapMut", func() {
		m, err := snapshot.OpenMut(name)
		check(tb, err)
		closing(tb, m)
	})
}

// BenchmarkOpen opens and closes a file that is on the disk and of few extents. The ways bare,
// bare-mapped and shortest are limits: system calls alone. os.ReadFile is the other way to get
// contents that no process changes. BenchmarkSmall has the sizes that are read into memory.
//
//promise:snapshot.Config.Open opening by reflink costs little more than its bare system calls
func BenchmarkOpen(b *testing.B) {
	each(b, mounttest.Reflinks, func(b *testing.B, _ *mounttest.Kind, dir string) {
		for _, size := range upTo(64*mib, 256*kib, mib, 16*mib, 64*mib, gib) {
			b.Run(fmt.Sprint("method=reflink/size=", size), func(b *testing.B) {
				name := file(b, dir, "f", size)
				interleave.Comparison{Ways: []interleave.Way{
					openingFile(b, name), readingAll(b, name), shortest(b, name), bare(b, name),
					bareMapped(b, name), openingMut(b, name), opening(b, name),
				}}.Bench(b)
			})
		}
	})
	each(b, mounttest.Known|mounttest.NoReflinks, func(b *testing.B, _ *mounttest.Kind, dir string) {
		for _, size := range upTo(16*mib, 256*kib, mib, 16*mib, 64*mib) {
			b.Run(fmt.Sprint("method=copy/size=", size), func(b *testing.B) {
				name := file(b, dir, "f", size)
				interleave.Comparison{Ways: []interleave.Way{
					openingFile(b, name), readingAll(b, name), openingMut(b, name), opening(b, name),
				}}.Bench(b)
			})
		}
	})
}

// BenchmarkOpenExtents opens and closes files of many extents, which the kernel clones one by
// one.
func BenchmarkOpenExtents(b *testing.B) {
	each(b, mounttest.Reflinks, func(b *testing.B, _ *mounttest.Kind, dir string) {
		for _, n := range upTo(1000, 1, 100, 1000, 10_000) {
			b.Run(fmt.Sprint("extents=", n), func(b *testing.B) {
				name := extents(b, dir, n)
				interleave.Comparison{Ways: []interleave.Way{bare(b, name), opening(b, name)}}.Bench(b)
			})
		}
	})
}

// extents makes a file of n extents: a reflink of which every other page was written to.
func extents(tb testing.TB, dir string, n int64) string {
	name := cold(tb, file(tb, dir, "extents", n*page))
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	check(tb, err)
	defer closing(tb, f)
	for i := int64(0); i < n; i += 2 {
		_, err := f.WriteAt([]byte{1}, i*page)
		check(tb, err)
	}
	check(tb, f.Sync())
	have, err := syscalls.CountExtents(int(f.Fd()), 0, n*page)
	check(tb, err)
	if int64(have) != n {
		tb.Fatalf("%d extents, want %d", have, n)
	}
	return name
}
