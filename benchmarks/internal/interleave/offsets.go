package interleave

import "math/rand/v2"

// Offsets are random offsets. To draw one takes about a nanosecond, less than package rand takes,
// so that a comparison of short reads measures the reads.
type Offsets struct{ state, span uint64 }

// NewOffsets returns Offsets from 0 to span, which is less than 4 GiB. Each has a sequence of its
// own, so that no way of a comparison finds in the cache what the way before it has read.
func NewOffsets(span int64) Offsets { return Offsets{rand.Uint64(), uint64(span) + 1} }

// Next returns the next offset.
func (o *Offsets) Next() int64 {
	o.state = o.state*6364136223846793005 + 1442695040888963407 // Knuth, MMIX
	return int64(o.state >> 32 * o.span >> 32)
}
