package mapped

import (
	"os"
	"sync/atomic"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// A goroutine that touches a page of a mapping that is not in memory waits for the disk in a way
// that Go's scheduler does not see: all other goroutines of that processor wait, too. So pages are
// first read and written by system calls, and sets remember which pages were.

const (
	pageShift  = 12      // pages of 4 KiB; where the kernel's are larger, it has all of one or nothing
	chunkPages = 1 << 15 // 128 MiB
	chunkWords = chunkPages / 64
)

// A chunk is a part of a set of pages, a bit for each.
type chunk []atomic.Uint64

// A PageSet is a set of pages of a file, empty at first. has takes no lock and stores nothing to
// memory that others read. The first chunk is as long as the largest of its pages needs, at most
// twice that, because most files are small. The others are made whole when a page in them is first
// added.
type PageSet struct {
	first  atomic.Pointer[chunk]
	chunks atomic.Pointer[[]atomic.Pointer[chunk]] // the first of them is not used
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
	first, last := uint64(off)>>pageShift, (uint64(off)+uint64(n)-1)>>pageShift
	for first>>6 != last>>6 { // up to 256 KiB may lie in one word
		if !s.hasBits(first, first|63) {
			return false
		}
		first = first | 63 + 1
	}
	return s.hasBits(first, last)
}

// hasBits reports whether pages of one word are in the set.
func (s *PageSet) hasBits(first, last uint64) bool {
	word, c := first>>6, s.first.Load()
	if word >= chunkWords {
		c = nil
		if chunks := s.all(); word/chunkWords < uint64(len(chunks)) {
			c = chunks[word/chunkWords].Load()
		}
		word %= chunkWords
	}
	return c != nil && word < uint64(len(*c)) && hasBits((*c)[word].Load(), first, last)
}

// hasBits reports whether a word has the bits of some pages.
func hasBits(word, first, last uint64) bool {
	mask := ^uint64(0) >> (63 - (last - first)) << (first & 63)
	return word&mask == mask
}

// add puts all pages of n bytes from off on into the set, and reports whether it made a chunk.
func (s *PageSet) add(off int64, n int) (made bool) {
	if n <= 0 {
		return false
	}
	last := (uint64(off) + uint64(n) - 1) >> pageShift
	for p := uint64(off) >> pageShift; p <= last; {
		word, mask, k := bits(p, last)
		var c chunk
		var new bool
		if word < chunkWords {
			c, new = s.firstChunk(min(last/64, chunkWords-1) + 1)
		} else {
			c, new = s.chunk(word/chunkWords, last/64/chunkWords+1)
		}
		made = made || new
		w := &c[word%chunkWords]
		if w.Load()&mask != mask {
			w.Or(mask)
		}
		p += k
	}
	return made
}

// firstChunk returns the first chunk, after making it at least n words long. A page that is added
// meanwhile can be lost: it is added again when it is next read or written.
func (s *PageSet) firstChunk(n uint64) (c chunk, made bool) {
	for {
		old := s.first.Load()
		if old != nil && uint64(len(*old)) >= n {
			return *old, made
		}
		length := n
		if old != nil {
			length = min(max(n, 2*uint64(len(*old))), chunkWords)
		}
		c := make(chunk, length)
		if old != nil {
			for i := range *old {
				c[i].Store((*old)[i].Load())
			}
		}
		made = s.first.CompareAndSwap(old, &c)
	}
}

// chunk returns chunk i, which it makes if need be, with room for n.
func (s *PageSet) chunk(i, n uint64) (c chunk, made bool) {
	at := &s.atLeast(int(n))[i]
	if at.Load() == nil {
		c := make(chunk, chunkWords)
		made = at.CompareAndSwap(nil, &c)
	}
	return *at.Load(), made
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

// all returns the chunks but the first; some are nil.
func (s *PageSet) all() []atomic.Pointer[chunk] {
	if chunks := s.chunks.Load(); chunks != nil {
		return *chunks
	}
	return nil
}

// each calls f for each chunk that there is, and its number.
func (s *PageSet) each(f func(i int, c chunk)) {
	if c := s.first.Load(); c != nil {
		f(0, *c)
	}
	chunks := s.all()
	for i := range chunks {
		if c := chunks[i].Load(); c != nil {
			f(i, *c)
		}
	}
}

// clear empties the set.
func (s *PageSet) clear() {
	s.each(func(_ int, c chunk) { c.retain(func(int) bool { return false }) })
}

// retain removes the pages of which in does not report that they are to stay.
func (c chunk) retain(in func(page int) bool) {
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

func (c chunk) empty() bool {
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
	s.each(func(i int, c chunk) {
		if c.empty() {
			return
		}
		var rest []byte
		if at := int64(i) * chunkBytes; at < int64(len(mem)) {
			rest = mem[at:min(at+chunkBytes, int64(len(mem)))]
		}
		// If mincore fails, as under a seccomp filter, each page is read once more.
		known := len(rest) > 0 && sys.Mincore(rest, vec) == nil
		mapped := (len(rest) + 1<<pageShift - 1) >> pageShift
		c.retain(func(page int) bool { return known && page < mapped && vec[page/scale]&1 != 0 })
	})
}
