package mapped

import (
	"math/rand/v2"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// The set of pages answers as a map does, across the boundaries of words and chunks.
func TestPageSet(t *testing.T) {
	const chunkBytes = chunkPages << pageShift
	const length = 3*chunkBytes + 5000
	r := rand.New(rand.NewPCG(1, 2))
	var s PageSet
	model := map[int64]bool{}
	for range mounttest.Count(3000, 30000, 300000) {
		off := r.Int64N(length)
		if r.IntN(2) == 0 { // near a boundary of a chunk
			off = (1+r.Int64N(3))*chunkBytes - r.Int64N(400<<10)
		}
		n := 1 + r.Int64N(min(300<<10, length-off))
		want := true
		for p := off >> 12; p <= (off+n-1)>>12; p++ {
			want = want && model[p]
		}
		if got := s.has(off, int(n)); got != want {
			t.Fatalf("has(%d, %d) = %v", off, n, got)
		}
		switch r.IntN(300) {
		case 0:
			s.clear()
			clear(model)
		default:
			s.add(off, int(n))
			for p := off >> 12; p <= (off+n-1)>>12; p++ {
				model[p] = true
			}
		}
	}
}
