package benchmarks

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// BenchmarkCommits commits 1 000 times, each time with a hundred random pages changed in 64 MiB,
// which is what fragments a file most; 200 times where each commit is a copy. The metric
// at-N-ns/op is the median of the twenty commits up to the Nth, and last/first that of the last
// tenth by that of the first twenty. Ahead of every tenth commit a file of that size is
// rewritten, for comparison.
func BenchmarkCommits(b *testing.B) {
	each(b, mounttest.Known, func(b *testing.B, kind *mounttest.Kind, dir string) {
		n, marks := 1000, []int{20, 50, 100, 200, 400, 600, 800, 1000}
		switch {
		case testing.Short() && !kind.Has(mounttest.Reflinks):
			b.Skip("a copy each time: not with -short")
		case testing.Short():
			n, marks = 60, []int{20, 40, 60}
		case !kind.Has(mounttest.Reflinks):
			n, marks = 200, marks[:4]
		}
		e := edit{size: 64 * mib, pages: 100, durable: true}
		rewritten := file(b, dir, "rewritten", e.size)
		var ours, others []float64
		since := func(start time.Time) float64 { return float64(time.Since(start)) }
		for b.Loop() {
			ours, others = nil, nil
			m, err := snapshot.OpenMut(file(b, dir, "f", e.size))
			check(b, err)
			for i := range n {
				if i%10 == 0 {
					start := time.Now()
					e.rewrite(b, rewritten)
					others = append(others, since(start))
				}
				start := time.Now()
				e.stores(b, m)
				check(b, m.Commit())
				ours = append(ours, since(start))
			}
			closing(b, m)
		}
		median := func(x []float64) float64 { return interleave.Median(slices.Clone(x)) }
		for _, at := range marks {
			b.ReportMetric(median(ours[at-20:at]), fmt.Sprintf("at-%d-ns/op", at))
		}
		last := median(ours[n-n/10:])
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(last/median(ours[:20]), "last/first")
		b.ReportMetric(median(others), "rewrite-ns/op")
		b.ReportMetric(median(others)/last, "rewrite/last")
	})
}
