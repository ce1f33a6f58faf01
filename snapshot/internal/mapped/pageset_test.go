package mapped

import (
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
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

// recheck keeps the pages of the set that the kernel reports as resident. It keeps none if the
// kernel cannot be asked, or if there is no mapping to ask about.
func TestRecheck(t *testing.T) {
	page := os.Getpagesize()
	mem, vec := make([]byte, 4*page), make([]byte, chunkPages)
	real := sys.Mincore
	defer func() { sys.Mincore = real }()
	refused := errors.New("refused")
	for what, c := range map[string]struct {
		mem  []byte
		err  error
		want [4]bool
	}{
		"mapped":     {mem, nil, [4]bool{true, false, false, false}},
		"not mapped": {nil, nil, [4]bool{}},
		"refused":    {mem, refused, [4]bool{}},
	} {
		sys.Mincore = func(mem, vec []byte) error {
			if len(mem) != 4*page {
				t.Errorf("%s: asked for %d bytes", what, len(mem))
			}
			copy(vec, []byte{1, 0, 1, 0})
			return c.err
		}
		var s PageSet
		s.add(0, 2*page) // so the third page, which is resident, is not in the set
		s.recheck(c.mem, vec)
		for i, want := range c.want {
			if got := s.has(int64(i*page), page); got != want {
				t.Errorf("%s: page %d is in the set: %v", what, i, got)
			}
		}
	}
}

// A set takes memory in proportion to the file.
func TestPageSetIsSmall(t *testing.T) {
	for _, size := range []int64{1, 100 << 10, 1 << 20, 100 << 20} {
		const sets = 100
		var all [sets]PageSet
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range all {
			step := max(size/8, 1)
			for off := int64(0); off < size; off += step {
				all[i].add(off, int(min(step, size-off)))
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		bit := size/(4096*8) + 8
		if n := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / sets; n > 100+2*bit {
			t.Errorf("a set for %d bytes takes %d, the bits alone %d", size, n, bit)
		}
		runtime.KeepAlive(&all)
	}
}
