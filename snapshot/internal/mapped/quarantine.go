package mapped

import (
	"math"
	"sync"
)

// Addresses of which a slice may still be about are not given back to the kernel at once, so
// that a stale slice faults instead of showing what is mapped there next. They wait in a queue,
// first in, first out, until these limits are passed. They cost no memory; a range that has no
// neighbour in the queue counts as one of the mappings that vm.max_map_count limits (65 530 by
// default).
const maxRanges = 4096

// maxBytes is 64 GiB of address space, or 64 MiB where int has 32 bits.
var maxBytes = int(min(64<<30, math.MaxInt>>5))

var quarantined = quarantine{giveBack: func(mem []byte) { space.giveBack(mem, true) }}

type quarantine struct {
	giveBack func(mem []byte) // constant

	mu     sync.Mutex // guards all below
	ranges [][]byte   // revoked, oldest first
	bytes  int        // in all of them
}

// add puts a revoked range into the queue and gives back the oldest that no longer fit. The
// newest stays, however large it is.
func (q *quarantine) add(mem []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ranges = append(q.ranges, mem)
	q.bytes += len(mem)
	for len(q.ranges) > 1 && (q.bytes > maxBytes || len(q.ranges) > maxRanges) {
		q.drop()
	}
}

// empty gives everything back, for when there are no addresses left, and reports whether there was
// anything.
func (q *quarantine) empty() (some bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ranges) > 0 {
		q.drop()
		some = true
	}
	return some
}

// held returns how many ranges there are, and their bytes.
func (q *quarantine) held() (ranges int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ranges), int64(q.bytes)
}

// drop gives back the oldest range. The caller holds mu.
func (q *quarantine) drop() {
	q.giveBack(q.ranges[0])
	q.bytes -= len(q.ranges[0])
	q.ranges[0] = nil
	q.ranges = q.ranges[1:]
}
