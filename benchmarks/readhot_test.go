package benchmarks

import (
	"fmt"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// BenchmarkReadAtHot reads resident pages at random offsets. All ways of a row read the same
// memory: raw copies from the slice of Bytes, mapping is ReadAt of golang.org/x/exp/mmap (package
// peers measures that package itself), the last is the library. A file of 1 MiB stays in the caches
// of the processor, where the instructions count; one of 64 MiB does not, so that raw and mapping
// overlap the cache misses of consecutive reads.
func BenchmarkReadAtHot(b *testing.B) {
	each(b, mounttest.Known, func(b *testing.B, _ *mounttest.Kind, dir string) {
		for _, size := range []int64{mib, 64 * mib} {
			name := file(b, dir, fmt.Sprint("hot", size), size)
			b.Run(fmt.Sprint("of=Mmap/file=", size), func(b *testing.B) {
				m, err := snapshot.Open(name)
				check(b, err)
				readingSame(b, "Mmap", m, size)
			})
			b.Run(fmt.Sprint("of=MmapMut/file=", size), func(b *testing.B) {
				m, err := snapshot.OpenMut(name)
				check(b, err)
				readingSame(b, "MmapMut", m, size)
			})
		}
	})
}

// A resident snapshot has all its bytes in memory.
type resident interface {
	readerAt
	Bytes() []byte
}

// readingSame compares reads from the memory of m, and closes m.
func readingSame(b *testing.B, way string, m resident, fileSize int64) {
	defer closing(b, m)
	warm(b, m, fileSize)
	mem := m.Bytes()
	for _, size := range []int64{64, 512, 4 * kib, 16 * kib, 64 * kib, 512 * kib} {
		b.Run(fmt.Sprint("size=", size), func(b *testing.B) {
			p := make([]byte, size)
			interleave.Comparison{Bytes: size, Ways: []interleave.Way{
				{Name: "raw", Do: func(n int) {
					at := interleave.NewOffsets(fileSize - size)
					for range n {
						copy(p, mem[at.Next():])
					}
				}},
				readingAt(b, "mapping", mapping(mem), fileSize, size),
				readingAt(b, way, m, fileSize, size),
			}}.Bench(b)
		})
	}
}
