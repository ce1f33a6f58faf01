package interleave

import "testing"

// Offsets reach both ends of the span, and two of them differ.
func TestOffsets(t *testing.T) {
	const span = 7
	a, b := NewOffsets(span), NewOffsets(span)
	var seen [span + 1]bool
	same := true
	for range 10_000 {
		off := a.Next()
		if off < 0 || off > span {
			t.Fatalf("offset %d is not within 0 to %d", off, span)
		}
		seen[off] = true
		same = same && off == b.Next()
	}
	for off, ok := range seen {
		if !ok {
			t.Errorf("offset %d is never drawn", off)
		}
	}
	if same {
		t.Error("two sequences are the same")
	}
}
