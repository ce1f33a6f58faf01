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

var quarantined quarantine

type quarantine struct {
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

// empty gives everything back, for when there are no addresses left, and returns how many ranges
// that were.
func (q *quarantine) empty() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for ; len(q.ranges) > 0; n++ {
		q.drop()
	}
	return n
}

// count returns how many ranges there are.
func (q *quarantine) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ranges)
}

// drop gives back the oldest range. The caller holds mu.
func (q *quarantine) drop() {
	space.giveBack(q.ranges[0], true)
	q.bytes -= len(q.ranges[0])
	q.ranges[0] = nil
	q.ranges = q.ranges[1:]
}
