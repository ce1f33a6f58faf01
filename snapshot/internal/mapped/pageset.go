package mapped

import (
	"os"
	"sync/atomic"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// Whoever touches a page of a mapping that is not in memory waits for the disk in a way that
// Go's scheduler does not see: all other goroutines of that processor wait, too. So pages are
// first read and written by system calls, and what was is remembered in sets of pages.

const (
	PageShift  = 12      // pages of 4 KiB; where the kernel's are larger, it has all of one or nothing
	ChunkPages = 1 << 15 // 128 MiB
	chunkWords = ChunkPages / 64
)

// A chunk is a set of pages, a bit for each.
type chunk [chunkWords]atomic.Uint64

// PageSet is a set of pages of a mapping. It is made of leaves, each made when something of it is
// first added. To ask costs no lock and no store to memory that others read.
type PageSet []atomic.Pointer[chunk]

func NewPageSet(length int) PageSet {
	return make(PageSet, (length-1)>>PageShift/ChunkPages+1)
}

// bits returns the word that page first is in, and the bits in it of the pages up to last; k
// counts them.
func bits(first, last uint64) (word, mask, k uint64) {
	shift := first % 64
	k = min(64-shift, last-first+1)
	return first / 64, ^uint64(0) >> (64 - k) << shift, k
}

// Has reports whether all pages of n bytes from off on are in the set; n is positive.
func (s PageSet) Has(off int64, n int) bool {
	last := (uint64(off) + uint64(n) - 1) >> PageShift
	for p := uint64(off) >> PageShift; p <= last; {
		word, mask, k := bits(p, last)
		l := s[word/chunkWords].Load()
		if l == nil || l[word%chunkWords].Load()&mask != mask {
			return false
		}
		p += k
	}
	return true
}

// Add puts all pages of n bytes from off on into the set, and reports whether it made a leaf.
func (s PageSet) Add(off int64, n int) (grown bool) {
	last := (uint64(off) + uint64(n) - 1) >> PageShift
	for p := uint64(off) >> PageShift; p <= last; {
		word, mask, k := bits(p, last)
		at := &s[word/chunkWords]
		if at.Load() == nil {
			grown = at.CompareAndSwap(nil, new(chunk)) || grown
		}
		w := &at.Load()[word%chunkWords]
		if w.Load()&mask != mask {
			w.Or(mask)
		}
		p += k
	}
	return grown
}

// Clear empties the set.
func (s PageSet) Clear() {
	for i := range s {
		if l := s[i].Load(); l != nil {
			l.retain(func(int) bool { return false })
		}
	}
}

// retain removes the pages of which in does not report that they are to stay.
func (l *chunk) retain(in func(page int) bool) {
	for w := range l {
		old := l[w].Load()
		var stay uint64
		for b := range 64 {
			if old&(1<<b) != 0 && in(w*64+b) {
				stay |= 1 << b
			}
		}
		if stay != old {
			l[w].And(^old | stay) // and what was added meanwhile
		}
	}
}

func (l *chunk) empty() bool {
	for w := range l {
		if l[w].Load() != 0 {
			return false
		}
	}
	return true
}

// recheck removes from the set what is no longer in memory, of a mapping of a file that uid owns.
// vec has room for an answer of mincore on a leaf.
func (s PageSet) recheck(mem []byte, uid uint32, vec []byte) {
	const leafBytes = ChunkPages << PageShift
	for i := range s {
		l := s[i].Load()
		if l == nil || l.empty() {
			continue
		}
		// To others than the owner the kernel says of every page that it is in memory. Where it
		// says nothing, such as under a seccomp filter, each page is read once more.
		rest := mem[int64(i)*leafBytes:]
		known := uint32(os.Geteuid()) == uid && sys.Mincore(rest[:min(len(rest), leafBytes)], vec) == nil
		scale := os.Getpagesize() >> PageShift
		l.retain(func(page int) bool { return known && vec[page/scale]&1 != 0 })
	}
}
