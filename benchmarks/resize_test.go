package benchmarks

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// BenchmarkResize grows an empty file to 64 MiB in steps, and stores a byte at each new end.
func BenchmarkResize(b *testing.B) {
	const size = 64 * mib
	each(b, mounttest.Known, func(b *testing.B, _ *mounttest.Kind, dir string) {
		for _, step := range []int64{64 * kib, 4 * mib} {
			b.Run(fmt.Sprint("do=grow/step=", step), func(b *testing.B) {
				interleave.Comparison{Ways: []interleave.Way{
					interleave.Once("os.File", func() {
						f, err := os.Create(filepath.Join(dir, "grown"))
						check(b, err)
						defer closing(b, f)
						for n := step; n <= size; n += step {
							check(b, f.Truncate(n))
							_, err := f.WriteAt([]byte{1}, n-1)
							check(b, err)
						}
					}),
					interleave.Once("MmapMut", func() {
						m, err := snapshot.Create(filepath.Join(dir, "never"))
						check(b, err)
						defer closing(b, m)
						for n := step; n <= size; n += step {
							check(b, m.Resize(n))
							_, err := m.WriteAt([]byte{1}, n-1)
							check(b, err)
						}
					}),
				}}.Bench(b)
			})
		}
		// There is room to grow in up to twice the size: three times as much moves the mapping.
		// What was read before must not be read anew afterwards; a View of it keeps it where it
		// is, and the new mapping begins without page tables.
		b.Run("do=move", func(b *testing.B) {
			name := file(b, dir, "f", size)
			var m *snapshot.MmapMut
			before := func() {
				var err error
				m, err = snapshot.OpenMut(name)
				check(b, err)
				check(b, m.Prefetch(0, -1))
			}
			scanned := func() {
				check(b, m.View(0, size, sum))
				closing(b, m)
			}
			interleave.Comparison{Ways: []interleave.Way{
				{Name: "stay", Before: before, Do: func(int) { scanned() }},
				{Name: "viewed", Before: before, Do: func(int) {
					check(b, m.View(0, 1, func([]byte) error { return m.Resize(3 * size) }))
					scanned()
				}},
				{Name: "moved", Before: before, Do: func(int) {
					check(b, m.Resize(3*size))
					scanned()
				}},
			}}.Bench(b)
		})
	})
}

// sum looks at each page.
func sum(p []byte) error {
	for i := 0; i < len(p); i += page {
		total += uint64(p[i])
	}
	return nil
}

var total uint64 // so that the compiler leaves the loop there
