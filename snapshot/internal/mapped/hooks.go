package mapped

import (
	mathbits "math/bits"
	"os"
	"sync"
)

// The functions of this file are for tests alone.

// ChunkBytes is how much of a file one chunk of a set of pages stands for.
const ChunkBytes = chunkPages << pageShift

// Mapped returns the memory that the region is mapped to at the moment, nil if it is not mapped.
func (r *Region) Mapped() []byte {
	if m := r.mem.Load(); m != nil {
		return m.mem
	}
	return nil
}

// Dirty reports whether the pages of n bytes from off on are known to be dirty.
func (r *Region) Dirty(off int64, n int) bool { return r.dirty.has(off, n) }

// ResidentPages counts the pages that are known to be in memory.
func (r *Region) ResidentPages() (n int) {
	r.resident.each(func(_ int, c chunk) {
		for w := range c {
			n += mathbits.OnesCount64(c[w].Load())
		}
	})
	return n << pageShift / os.Getpagesize()
}

// Disown makes the region take its file for another user's.
func (r *Region) Disown() { r.owner++ }

// HoldSweeper keeps the sweeper from its work until release, and waits if it is in the middle of
// it.
func HoldSweeper() (release func()) {
	sweeping.turn.Lock()
	return sync.OnceFunc(sweeping.turn.Unlock)
}

// Sweep looks at once which pages are still in memory, for a caller who holds the sweeper.
func Sweep() { sweeping.sweep() }

// Swept counts the regions that the sweeper knows.
func Swept() int {
	sweeping.mu.Lock()
	defer sweeping.mu.Unlock()
	return len(sweeping.regions)
}

// QuarantinedBytes tells how many bytes of addresses are kept from reuse.
func QuarantinedBytes() int {
	_, bytes := quarantined.held()
	return int(bytes)
}

// EmptyQuarantine gives all of them back.
func EmptyQuarantine() { quarantined.empty() }
