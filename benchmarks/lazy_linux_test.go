package benchmarks

import (
	"fmt"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// lazyDisk has files that a lease serves.
const lazyDisk = mounttest.Disk | mounttest.NoReflinks

// BenchmarkLazyOpen opens and closes a file of clean pages, with Lazy and by a copy. The way bare is
// the limit: system calls alone.
//
//promise:snapshot.Config.Lazy opening costs little more than its bare system calls, whatever the size
func BenchmarkLazyOpen(b *testing.B) {
	each(b, lazyDisk, func(b *testing.B, _ *mounttest.Kind, dir string) {
		for _, size := range upTo(16*mib, 256*kib, mib, 16*mib, 64*mib, gib) {
			b.Run(fmt.Sprint("size=", size), func(b *testing.B) {
				name := file(b, dir, "f", size)
				ways := []interleave.Way{openingFile(b, name), bareLease(b, name)}
				if size <= 64*mib {
					ways = append(ways, readingAll(b, name), opening(b, name))
				}
				interleave.Comparison{Ways: append(ways, openingLazy(b, name))}.Bench(b)
			})
		}
	})
}

// BenchmarkLazyReadAt reads resident pages at random offsets. What Lazy adds is a look at the clock.
func BenchmarkLazyReadAt(b *testing.B) {
	each(b, lazyDisk, func(b *testing.B, _ *mounttest.Kind, dir string) {
		name := file(b, dir, "f", 16*mib)
		for _, size := range []int64{64, 4 * kib, 64 * kib, 512 * kib} {
			b.Run(fmt.Sprint("size=", size), func(b *testing.B) {
				readingLazy(b, name, 16*mib, size).Bench(b)
			})
		}
	})
}

// BenchmarkLazyWriter opens a file for writing and closes it: without a snapshot, and while a
// snapshot with Lazy is open, so that the writer waits for the private copy.
func BenchmarkLazyWriter(b *testing.B) {
	each(b, lazyDisk, func(b *testing.B, _ *mounttest.Kind, dir string) {
		for _, size := range upTo(16*mib, 256*kib, mib, 16*mib, 100*mib, gib) {
			b.Run(fmt.Sprint("size=", size), func(b *testing.B) {
				name := file(b, dir, "f", size)
				write := func(n int) {
					for range n {
						f, err := os.OpenFile(name, os.O_WRONLY, 0)
						check(b, err)
						closing(b, f)
					}
				}
				var m *snapshot.Mmap
				defer func() { closing(b, m) }()
				interleave.Comparison{Ways: []interleave.Way{
					{Name: "free", Do: write},
					{Name: "waiting", Before: func() {
						if m != nil {
							closing(b, m)
						}
						m = openLazy(b, name)
					}, Do: write},
				}}.Bench(b)
			})
		}
	})
}
