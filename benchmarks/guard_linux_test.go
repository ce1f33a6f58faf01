package benchmarks

import (
	"flag"
	"math"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var guard = flag.Bool("guard", false, "compare times with generous bounds, so that a lost fast path fails")

// A bound is what a ratio of two medians must not be below, or above. It leaves room for
// machines of all kinds, and for much else going on.
type bound struct{ least, most float64 }

func atLeast(x float64) bound { return bound{x, math.Inf(1)} }
func atMost(x float64) bound  { return bound{0, x} }

// attempts is how often a ratio may be out of bounds before the test fails.
const attempts = 3

// holds measures a ratio again until it is within its bound.
func (x bound) holds(t *testing.T, what string, measure func() float64) {
	t.Helper()
	for range attempts {
		ratio := measure()
		t.Logf("%s: %.3g", what, ratio)
		if ratio >= x.least && ratio <= x.most {
			return
		}
	}
	t.Errorf("%s is not between %v and %v, in any of %d attempts", what, x.least, x.most, attempts)
}

// TestGuard fails when a fast path is lost. It is no part of go test ./..., because no test
// there depends on the clock.
//
//	go test -run Guard ./benchmarks -guard
func TestGuard(t *testing.T) {
	if !*guard {
		t.Skip("compares times: only with -guard")
	}
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		small, large := file(t, dir, "small", 4*kib), file(t, dir, "large", 64*mib)
		t.Run("read", func(t *testing.T) { guardReads(t, large) })
		t.Run("allocations", func(t *testing.T) { guardAllocations(t, large) })
		if mounttest.Has(dir, mounttest.Reflinks) {
			t.Run("open", func(t *testing.T) { guardOpen(t, small, large) })
			t.Run("edit", func(t *testing.T) { guardEdit(t, dir) })
		} else {
			t.Run("sparse", func(t *testing.T) { guardSparse(t, dir, large) })
		}
	})
}

// Opening is flat in size, and costs what the kernel's part of it does.
func guardOpen(t *testing.T, small, large string) {
	atMost(3).holds(t, "opening 64 MiB by opening 4 KiB", func() float64 {
		a, b := opening(t, large), opening(t, small)
		a.Name = "large"
		return interleave.Comparison{Ways: []interleave.Way{a, b}}.Run(101).Ratio("large", "Mmap")
	})
	atMost(2).holds(t, "opening by the bare system calls", func() float64 {
		return interleave.Comparison{Ways: []interleave.Way{bare(t, small), opening(t, small)}}.Run(101).Ratio("Mmap", "bare")
	})
}

// Reading what is in memory makes no system call, and the guards against faults cost little.
func guardReads(t *testing.T, name string) {
	c := readingHot(t, name, 16*mib, 4*kib, 1)
	for _, way := range []string{"Mmap", "MmapMut"} {
		atLeast(2).holds(t, "os.File by "+way, func() float64 { return c.Run(31).Ratio("os.File", way) })
		atMost(3).holds(t, way+" by exp-mmap", func() float64 { return c.Run(31).Ratio(way, "exp-mmap") })
	}
}

func guardAllocations(t *testing.T, name string) {
	m, err := snapshot.Open(name)
	check(t, err)
	defer closing(t, m)
	mut, err := snapshot.OpenMut(name)
	check(t, err)
	defer closing(t, mut)
	p := make([]byte, 4*kib)
	for _, x := range []struct {
		what string
		do   func([]byte, int64) (int, error)
	}{{"Mmap.ReadAt", m.ReadAt}, {"MmapMut.ReadAt", mut.ReadAt}, {"MmapMut.WriteAt", mut.WriteAt}} {
		if n := testing.AllocsPerRun(100, func() { _, err = x.do(p, 4*kib) }); n != 0 || err != nil {
			t.Errorf("%s: %v allocations, %v", x.what, n, err)
		}
	}
}

// An edit costs what is edited, not what the file holds.
func guardEdit(t *testing.T, dir string) {
	c := edit{size: 256 * mib, pages: 1, durable: true}.comparison(t, dir)
	atLeast(10).holds(t, "rewriting by the slower of Commit and CommitAndClose", func() float64 {
		r := c.Run(3)
		return min(r.Ratio("rewrite", "Commit"), r.Ratio("rewrite", "CommitAndClose"))
	})
}

// A copy costs the data, in time and disk, not the holes.
func guardSparse(t *testing.T, dir, dense string) {
	sparse := sparseFile(t, dir)
	atMost(3).holds(t, "copying 64 MiB among holes by 64 MiB", func() float64 {
		a, b := opening(t, sparse), opening(t, dense)
		a.Name = "sparse"
		return interleave.Comparison{Ways: []interleave.Way{a, b}}.Run(5).Ratio("sparse", "Mmap")
	})
	atMost(1.1).holds(t, "disk taken by 64 MiB", func() float64 { return diskUse(t, dir, sparse) / (64 * mib) })
}
