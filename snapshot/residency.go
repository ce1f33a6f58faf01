package snapshot

import (
	"os"
	"sync/atomic"
)

// Whoever touches a page of a mapping that is not in memory waits for the disk in a way that
// Go's scheduler does not see: all other goroutines of that processor wait, too. So pages are
// first read and written by system calls, and what was is remembered in sets of pages.

const (
	pageShift = 12      // pages of 4 KiB; where the kernel's are larger, it has all of one or nothing
	leafPages = 1 << 15 // 128 MiB
	leafWords = leafPages / 64
)

// A leaf is a set of pages, a bit for each.
type leaf [leafWords]atomic.Uint64

// pages is a set of pages of a mapping. It is made of leaves, each made when something of it is
// first added. To ask costs no lock and no store to memory that others read.
type pages []atomic.Pointer[leaf]

func newPages(length int) pages {
	return make(pages, (length-1)>>pageShift/leafPages+1)
}

// bits returns the word that page first is in, and the bits in it of the pages up to last; k
// counts them.
func bits(first, last uint64) (word, mask, k uint64) {
	shift := first % 64
	k = min(64-shift, last-first+1)
	return first / 64, ^uint64(0) >> (64 - k) << shift, k
}

// has reports whether all pages of n bytes from off on are in the set; n is positive.
func (s pages) has(off int64, n int) bool {
	last := (uint64(off) + uint64(n) - 1) >> pageShift
	for p := uint64(off) >> pageShift; p <= last; {
		word, mask, k := bits(p, last)
		l := s[word/leafWords].Load()
		if l == nil || l[word%leafWords].Load()&mask != mask {
			return false
		}
		p += k
	}
	return true
}

// add puts all pages of n bytes from off on into the set, and reports whether it made a leaf.
func (s pages) add(off int64, n int) (grown bool) {
	last := (uint64(off) + uint64(n) - 1) >> pageShift
	for p := uint64(off) >> pageShift; p <= last; {
		word, mask, k := bits(p, last)
		at := &s[word/leafWords]
		if at.Load() == nil {
			grown = at.CompareAndSwap(nil, new(leaf)) || grown
		}
		w := &at.Load()[word%leafWords]
		if w.Load()&mask != mask {
			w.Or(mask)
		}
		p += k
	}
	return grown
}

// clear empties the set.
func (s pages) clear() {
	for i := range s {
		if l := s[i].Load(); l != nil {
			l.retain(func(int) bool { return false })
		}
	}
}

// retain removes the pages of which in does not report that they are to stay.
func (l *leaf) retain(in func(page int) bool) {
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

func (l *leaf) empty() bool {
	for w := range l {
		if l[w].Load() != 0 {
			return false
		}
	}
	return true
}

// age removes from the set what is no longer in memory, of a mapping of a file that uid owns.
// vec has room for an answer of mincore on a leaf.
func (s pages) age(mem []byte, uid uint32, vec []byte) {
	const leafBytes = leafPages << pageShift
	for i := range s {
		l := s[i].Load()
		if l == nil || l.empty() {
			continue
		}
		// To others than the owner the kernel says of every page that it is in memory. Where it
		// says nothing, such as under a seccomp filter, each page is read once more.
		rest := mem[int64(i)*leafBytes:]
		known := uint32(os.Geteuid()) == uid && sysMincore(rest[:min(len(rest), leafBytes)], vec) == nil
		scale := os.Getpagesize() >> pageShift
		l.retain(func(page int) bool { return known && vec[page/scale]&1 != 0 })
	}
}
