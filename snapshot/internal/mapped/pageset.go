package mapped

import (
	"os"
	"sync/atomic"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// A goroutine that touches a page of a mapping that is not in memory waits for the disk in a way that
// Go's scheduler does not see: all other goroutines of that processor wait, too. So pages are first
// read and written by system calls, and sets remember which pages were.

const (
	pageShift  = 12      // pages of 4 KiB; where the kernel's are larger, it has all of one or nothing
	chunkPages = 1 << 15 // 128 MiB
	chunkWords = chunkPages / 64
)

// A chunk is a part of a set of pages, a bit for each.
type chunk [chunkWords]atomic.Uint64

// A PageSet is a set of pages of a file, empty at first. A chunk of it is made when a page in it is
// first added. has takes no lock and stores nothing to memory that others read.
type PageSet struct {
	chunks atomic.Pointer[[]atomic.Pointer[chunk]]
}

// bits returns the word that page first is in, and the bits in it of the pages up to last; k
// counts them.
func bits(first, last uint64) (word, mask, k uint64) {
	shift := first % 64
	k = min(64-shift, last-first+1)
	return first / 64, ^uint64(0) >> (64 - k) << shift, k
}

// has reports whether all pages of n bytes from off on are in the set; n is positive.
func (s *PageSet) has(off int64, n int) bool {
	chunks := s.chunks.Load()
	if chunks == nil {
		return false
	}
	first, last := uint64(off)>>pageShift, (uint64(off)+uint64(n)-1)>>pageShift
	for first>>6 != last>>6 { // up to 256 KiB may lie in one word
		if !hasBits(*chunks, first, first|63) {
			return false
		}
		first = first | 63 + 1
	}
	return hasBits(*chunks, first, last)
}

// hasBits reports whether pages of one word are in the set.
func hasBits(chunks []atomic.Pointer[chunk], first, last uint64) bool {
	word := first >> 6
	if word/chunkWords >= uint64(len(chunks)) {
		return false
	}
	c := chunks[word/chunkWords].Load()
	mask := ^uint64(0) >> (63 - (last - first)) << (first & 63)
	return c != nil && c[word%chunkWords].Load()&mask == mask
}

// add puts all pages of n bytes from off on into the set, and reports whether it made a chunk.
func (s *PageSet) add(off int64, n int) (made bool) {
	if n <= 0 {
		return false
	}
	last := (uint64(off) + uint64(n) - 1) >> pageShift
	chunks := s.atLeast(int(last/chunkPages) + 1)
	for p := uint64(off) >> pageShift; p <= last; {
		word, mask, k := bits(p, last)
		at := &chunks[word/chunkWords]
		if at.Load() == nil {
			made = at.CompareAndSwap(nil, new(chunk)) || made
		}
		w := &at.Load()[word%chunkWords]
		if w.Load()&mask != mask {
			w.Or(mask)
		}
		p += k
	}
	return made
}

// atLeast returns the chunks, after making room for n. A chunk that is added meanwhile can be lost:
// its pages are added again when they are next read or written.
func (s *PageSet) atLeast(n int) []atomic.Pointer[chunk] {
	for {
		old := s.chunks.Load()
		if old != nil && len(*old) >= n {
			return *old
		}
		var more []atomic.Pointer[chunk]
		if old == nil {
			more = make([]atomic.Pointer[chunk], n)
		} else {
			more = make([]atomic.Pointer[chunk], max(n, 2*len(*old)))
			for i := range *old {
				more[i].Store((*old)[i].Load())
			}
		}
		if s.chunks.CompareAndSwap(old, &more) {
			return more
		}
	}
}

// all returns the chunks that there are; some are nil.
func (s *PageSet) all() []atomic.Pointer[chunk] {
	if chunks := s.chunks.Load(); chunks != nil {
		return *chunks
	}
	return nil
}

// clear empties the set.
func (s *PageSet) clear() {
	chunks := s.all()
	for i := range chunks {
		if c := chunks[i].Load(); c != nil {
			c.retain(func(int) bool { return false })
		}
	}
}

// retain removes the pages of which in does not report that they are to stay.
func (c *chunk) retain(in func(page int) bool) {
	for w := range c {
		old := c[w].Load()
		var stay uint64
		for b := range 64 {
			if old&(1<<b) != 0 && in(w*64+b) {
				stay |= 1 << b
			}
		}
		if stay != old {
			c[w].And(^old | stay) // and pages that were added meanwhile
		}
	}
}

func (c *chunk) empty() bool {
	for w := range c {
		if c[w].Load() != 0 {
			return false
		}
	}
	return true
}

// recheck removes pages from the set that are no longer in memory, or are not mapped: mem is the
// mapping. vec has room for an answer of mincore on a chunk.
func (s *PageSet) recheck(mem, vec []byte) {
	const chunkBytes = chunkPages << pageShift
	scale := os.Getpagesize() >> pageShift
	chunks := s.all()
	for i := range chunks {
		c := chunks[i].Load()
		if c == nil || c.empty() {
			continue
		}
		var rest []byte
		if at := int64(i) * chunkBytes; at < int64(len(mem)) {
			rest = mem[at:min(at+chunkBytes, int64(len(mem)))]
		}
		// If mincore fails, as under a seccomp filter, each page is read once more.
		known := len(rest) > 0 && sys.Mincore(rest, vec) == nil
		mapped := (len(rest) + 1<<pageShift - 1) >> pageShift
		c.retain(func(page int) bool { return known && page < mapped && vec[page/scale]&1 != 0 })
	}
}
