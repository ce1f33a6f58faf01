package benchmarks

import (
	"fmt"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// BenchmarkReverse reverses the bytes of a file, durably, in three styles: whole reads all of
// it, and writes a new file that replaces it; chunked exchanges pieces from both ends by pread
// and pwrite, with little memory, but a crash leaves a mix. With a MmapMut no crash does: mapped
// reverses the memory, which is the least code and takes faults for each page (see
// BenchmarkFault); the last one is chunked as it is, given a MmapMut.
func BenchmarkReverse(b *testing.B) {
	each(b, mounttest.Known, func(b *testing.B, _ *mounttest.Kind, dir string) {
		for _, size := range upTo(mib, mib, 64*mib) {
			b.Run(fmt.Sprint("size=", size), func(b *testing.B) {
				one, two, three := file(b, dir, "one", size), file(b, dir, "two", size), file(b, dir, "three", size)
				interleave.Comparison{Bytes: size, Ways: []interleave.Way{
					interleave.Once("whole", func() { reverseWhole(b, dir, one) }),
					interleave.Once("chunked", func() {
						f, err := os.OpenFile(two, os.O_RDWR, 0)
						check(b, err)
						defer closing(b, f)
						reverseChunks(b, f, size)
						check(b, f.Sync())
					}),
					interleave.Once("mapped", func() { reverseMapped(b, three) }),
					interleave.Once("MmapMut", func() {
						m, err := snapshot.OpenMut(three)
						check(b, err)
						reverseChunks(b, m, size)
						check(b, m.CommitAndClose())
					}),
				}}.Bench(b)
			})
		}
	})
}

func reverseWhole(tb testing.TB, dir, name string) {
	p, err := os.ReadFile(name)
	check(tb, err)
	slices.Reverse(p)
	f, err := os.CreateTemp(dir, "whole")
	check(tb, err)
	defer closing(tb, f)
	_, err = f.Write(p)
	check(tb, err)
	check(tb, f.Sync())
	check(tb, os.Rename(f.Name(), name))
	syncDir(tb, dir)
}

// chunks can be read and written at any place.
type chunks interface {
	io.ReaderAt
	io.WriterAt
}

func reverseChunks(tb testing.TB, f chunks, size int64) {
	const chunk = 64 * kib // size is a multiple of twice that
	p, q := make([]byte, chunk), make([]byte, chunk)
	for i, j := int64(0), size-chunk; i < j; i, j = i+chunk, j-chunk {
		_, err := f.ReadAt(p, i)
		check(tb, err)
		_, err = f.ReadAt(q, j)
		check(tb, err)
		slices.Reverse(p)
		slices.Reverse(q)
		_, err = f.WriteAt(q, i)
		check(tb, err)
		_, err = f.WriteAt(p, j)
		check(tb, err)
	}
}

func reverseMapped(tb testing.TB, name string) {
	m, err := snapshot.OpenMut(name)
	check(tb, err)
	defer m.Close() // after an error; else it is closed already
	check(tb, m.Prefetch(0, -1))
	check(tb, m.View(0, -1, func(p []byte) error {
		slices.Reverse(p)
		return nil
	}))
	check(tb, m.CommitAndClose())
}
