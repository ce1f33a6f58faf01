package mapped

import (
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
)

// countMunmap makes munmap do nothing until the test ends, and counts its calls.
func countMunmap(t *testing.T) *int {
	n := 0
	systest.Intercept(t, func(call string) error {
		if call == "munmap" {
			n++
			return syscall.ENOSYS
		}
		return nil
	})
	return &n
}

// Ranges are given back once there are more than the limit, the oldest first.
func TestQuarantineRanges(t *testing.T) {
	given, mem := countMunmap(t), make([]byte, maxRanges+5)
	var q quarantine
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
	given, mem := countMunmap(t), make([]byte, 300)
	var q quarantine
	for _, c := range []struct{ add, given, kept int }{
		{60, 0, 60}, {40, 0, 100}, {1, 1, 41}, {300, 3, 300}, {50, 4, 50}, {0, 4, 50},
	} {
		if q.add(mem[:c.add]); *given != c.given || q.bytes != c.kept {
			t.Errorf("after %d bytes: %d were given back and %d bytes are kept, want %d and %d",
				c.add, *given, q.bytes, c.given, c.kept)
		}
	}
}
