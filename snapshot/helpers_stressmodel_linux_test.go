package snapshot_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// What the stress test stores: all of it follows from numbers, so that every byte ever read can
// be checked, also beside the stores, without locks that would keep the two apart.
//
// A file is made of regions, each of blocks, and of a tail whose size changes. A region has one
// owner, who stores operation 1, 2, 3 … into it; operation k writes some blocks of it, and which
// and what follows from k. Who reads knows which operations had finished before and which had
// started afterwards: each byte is as one of these left it.
const (
	stressBlock  = 1536 // crosses pages
	stressBlocks = 16   // in a region
	stressRegion = stressBlocks * stressBlock
	regions      = 8
	stressFixed  = regions * stressRegion // where the tail begins
	stressTail   = 2 << 20                // its size is less; the mapping moves when it grows
)

// byView reports whether the owner of a region stores in a View: then a commit may contain part
// of an operation. One by WriteAt is in it or not.
func byView(region int) bool { return region%2 == 1 }

// A life is an MmapMut from its opening to its end.
type life struct {
	m     *snapshot.MmapMut
	key   uint64 // differs from life to life
	base  []byte // the contents when it was opened: of operation 0
	parts [regions + 1]progress
}

// tail is the index of the tail's part.
const tail = regions

// progress says how far the owner of a part is.
type progress struct{ started, finished atomic.Int64 }

// A span is what operations somebody may see of each part: from the last that had finished
// before he looked to the last that had started afterwards.
type span [regions + 1]struct{ lo, hi int64 }

func (l *life) before() (s span) {
	for i := range s {
		s[i].lo = l.parts[i].finished.Load()
	}
	return s
}

func (l *life) after(s span) span {
	for i := range s {
		s[i].hi = l.parts[i].started.Load()
	}
	return s
}

// blocks returns which blocks of a region an operation writes.
func (l *life) blocks(region int, op int64) (first, n int) {
	h := mix(l.key, uint64(region), uint64(op))
	n = 1 + int(h%8)
	return int(h >> 32 % uint64(stressBlocks-n+1)), n
}

// last returns the last operation up to op that wrote a block, or 0.
func (l *life) last(region, block int, op int64) int64 {
	for ; op > 0; op-- {
		if first, n := l.blocks(region, op); block >= first && block < first+n {
			return op
		}
	}
	return 0
}

// fill makes p what an operation that writes a block leaves there. A block begins with its
// life and operation.
func (l *life) fill(p []byte, region, block int, op int64) {
	if op == 0 {
		off := region*stressRegion + block*stressBlock
		copy(p, l.base[off:off+stressBlock])
		return
	}
	binary.LittleEndian.PutUint64(p, l.key)
	binary.LittleEndian.PutUint64(p[8:], uint64(op))
	noiseOf(p[16:], mix(l.key, uint64(region), uint64(block), uint64(op)))
}

// checkPart says what is wrong with a part of a block, from byte at on, as it may be seen beside
// operations lo to hi: each byte has to be of one of them.
func (l *life) checkPart(got []byte, region, block, at int, lo, hi int64) error {
	var want [stressBlock]byte
	ok := make([]bool, len(got))
	for op := hi; ; op-- {
		op = l.last(region, block, op)
		l.fill(want[:], region, block, op)
		if bytes.Equal(got, want[at:at+len(got)]) {
			return nil
		}
		for i := range got {
			ok[i] = ok[i] || got[i] == want[at+i]
		}
		if op <= lo {
			break
		}
	}
	for i := range ok {
		if !ok[i] {
			return fmt.Errorf("region %d, block %d: byte %d is of none of the operations %d to %d", region, block, at+i, lo, hi)
		}
	}
	return nil
}

// checkRange does that for bytes from off on, all in one region.
func (l *life) checkRange(got []byte, off int, s span) error {
	for len(got) > 0 {
		region, block, at := off/stressRegion, off%stressRegion/stressBlock, off%stressBlock
		n := min(stressBlock-at, len(got))
		if err := l.checkPart(got[:n], region, block, at, s[region].lo, s[region].hi); err != nil {
			return err
		}
		off, got = off+n, got[n:]
	}
	return nil
}

// checkCommit says what is wrong with the contents of a commit that began and ended at the ends
// of s.
func (l *life) checkCommit(data []byte, s span) error {
	if len(data) < stressFixed {
		return fmt.Errorf("%d bytes", len(data))
	}
	for region := range regions {
		got := data[region*stressRegion : (region+1)*stressRegion]
		var err error
		if byView(region) {
			err = l.checkRange(got, region*stressRegion, s)
		} else {
			err = l.checkState(got, region, s[region].lo, s[region].hi)
		}
		if err != nil {
			return err
		}
	}
	for op := s[tail].hi; ; op-- {
		if bytes.Equal(data[stressFixed:], l.tailOf(op)) {
			return nil
		}
		if op <= s[tail].lo {
			return fmt.Errorf("the tail, of %d bytes, is of none of the operations %d to %d", len(data)-stressFixed, op, s[tail].hi)
		}
	}
}

// checkState checks that a region is as one operation left it: each before it is in there whole,
// and none after it.
func (l *life) checkState(got []byte, region int, lo, hi int64) error {
	op := lo
	for block := range stressBlocks {
		head := got[block*stressBlock:]
		if binary.LittleEndian.Uint64(head) == l.key {
			op = max(op, int64(binary.LittleEndian.Uint64(head[8:])))
		}
	}
	if op > hi {
		return fmt.Errorf("region %d: operation %d is there, which is none of %d to %d", region, op, lo, hi)
	}
	want := l.state(region, op)
	for i := range want {
		if got[i] != want[i] {
			return fmt.Errorf("region %d, block %d: not as operation %d left it (of %d to %d)", region, i/stressBlock, op, lo, hi)
		}
	}
	return nil
}

// state is a region after an operation.
func (l *life) state(region int, op int64) []byte {
	want := make([]byte, stressRegion)
	for block := range stressBlocks {
		l.fill(want[block*stressBlock:][:stressBlock], region, block, l.last(region, block, op))
	}
	return want
}

// tailOf is the tail after an operation. They cut it off, let it grow with zeros, and write into
// it, in turns.
func (l *life) tailOf(op int64) []byte {
	switch {
	case op == 0:
		return l.base[stressFixed:]
	case op%3 == 1:
		return nil
	case op%3 == 2:
		return make([]byte, l.tailSize(op))
	}
	t := make([]byte, l.tailSize(op-1))
	at, n := l.tailWrite(op)
	noiseOf(t[at:at+n], mix(l.key, tail, uint64(op)))
	return t
}

// tailSize is what operation op, a growing one, makes the size of the tail.
func (l *life) tailSize(op int64) int {
	h := mix(l.key, tail, uint64(op))
	limit := uint64(30_000)
	if h%16 == 0 {
		limit = stressTail
	}
	return 1 + int(h>>8%limit)
}

// tailWrite is what operation op, a writing one, writes.
func (l *life) tailWrite(op int64) (at, n int) {
	size := l.tailSize(op - 1)
	h := mix(l.key, tail, uint64(op), 1)
	at = int(h % uint64(size))
	return at, min(size-at, 1+int(h>>32%5000))
}

// checkTail says what is wrong with bytes read from the tail beside operations lo to hi. Where it
// was cut off meanwhile there may be zeros.
func (l *life) checkTail(got []byte, at int, lo, hi int64) error {
	ok := make([]bool, len(got))
	for op := lo; op <= hi; op++ {
		state := l.tailOf(op)
		for i := range got {
			ok[i] = ok[i] || hi > lo && got[i] == 0 || at+i < len(state) && got[i] == state[at+i]
		}
	}
	for i := range ok {
		if !ok[i] {
			return fmt.Errorf("the tail: byte %d is of none of the operations %d to %d", at+i, lo, hi)
		}
	}
	return nil
}

// image is the whole contents, when nobody is storing.
func (l *life) image() []byte {
	var all []byte
	for region := range regions {
		all = append(all, l.state(region, l.parts[region].finished.Load())...)
	}
	return append(all, l.tailOf(l.parts[tail].finished.Load())...)
}
