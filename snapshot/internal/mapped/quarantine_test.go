package mapped

import "testing"

// newQuarantine returns a quarantine of ranges that are not unmapped, but counted.
func newQuarantine() (q *quarantine, given *int) {
	given = new(int)
	return &quarantine{giveBack: func([]byte) { *given++ }}, given
}

// Ranges are given back once there are more than the limit, the oldest first.
func TestQuarantineRanges(t *testing.T) {
	q, given := newQuarantine()
	mem := make([]byte, maxRanges+5)
	for i := range maxRanges + 5 {
		q.add(mem[:i])
	}
	if *given != 5 || len(q.ranges) != maxRanges || len(q.ranges[0]) != 5 {
		t.Errorf("%d ranges were given back, %d are kept, the oldest of %d bytes",
			*given, len(q.ranges), len(q.ranges[0]))
	}
	q.empty()
	if *given != maxRanges+5 || len(q.ranges) != 0 || q.bytes != 0 {
		t.Errorf("emptied, %d ranges and %d bytes are kept", len(q.ranges), q.bytes)
	}
}

// Bytes are bounded, too, but the newest range stays, however large it is.
func TestQuarantineBytes(t *testing.T) {
	real := maxBytes
	maxBytes = 100
	defer func() { maxBytes = real }()
	q, given := newQuarantine()
	mem := make([]byte, 300)
	for _, c := range []struct{ add, given, kept int }{
		{60, 0, 60}, {40, 0, 100}, {1, 1, 41}, {300, 3, 300}, {50, 4, 50}, {0, 4, 50},
	} {
		if q.add(mem[:c.add]); *given != c.given || q.bytes != c.kept {
			t.Errorf("after %d bytes: %d were given back and %d bytes are kept, want %d and %d",
				c.add, *given, q.bytes, c.given, c.kept)
		}
	}
}
