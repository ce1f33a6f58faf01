package benchmarks

import (
	"fmt"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// BenchmarkCommit edits some pages of a file.
func BenchmarkCommit(b *testing.B) {
	each(b, mounttest.Known, func(b *testing.B, kind *mounttest.Kind, dir string) {
		sizes := upTo(16*mib, mib, 16*mib, 256*mib, gib)
		if kind.Has(mounttest.NoReflinks) {
			sizes = upTo(16*mib, mib, 16*mib, 256*mib)
		}
		for _, size := range sizes {
			for _, pages := range []int64{1, 100} {
				for _, durable := range []bool{true, false} {
					if (size >= gib || size > 16*mib && !kind.Has(mounttest.Reflinks)) && (pages > 1 || !durable) {
						continue // rewriting takes seconds
					}
					b.Run(fmt.Sprintf("size=%d/pages=%d/durable=%v", size, pages, durable), func(b *testing.B) {
						edit{size, pages, durable}.comparison(b, dir).Bench(b)
					})
				}
			}
		}
	})
}
