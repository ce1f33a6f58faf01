package mapped

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Views inside others may fault on the memory of an outer one: that is the outer one's fault,
// unless its function was panicking.
func TestNestedFaults(t *testing.T) {
	outer := newRegion(t, "text", 1<<20, true)
	defer outer.Close()
	must(t, unix.Ftruncate(outer.FD(), 4096))
	view := func(r *Region, f func(b []byte)) (fault int64, panicked any) {
		defer func() { panicked = recover() }()
		fault, _, err := r.View(0, r.Size(), func(b []byte) error { f(b); return nil })
		must(t, err)
		return fault, nil
	}
	inside := func(depth int, f func()) {
		for range depth {
			inner, g := newRegion(t, "text", 4096, true), f
			defer inner.Close()
			f = func() { _, _, _ = inner.View(0, 4096, func([]byte) error { g(); return nil }) }
		}
		f()
	}
	for depth := range 5 {
		const at = 8192
		fault, p := view(outer, func(b []byte) { inside(depth, func() { b[at] = 1 }) })
		if fault != at || p != nil {
			t.Errorf("depth %d: fault at %d, panic %v", depth, fault, p)
		}
		_, p = view(outer, func(b []byte) {
			defer inside(depth, func() { b[at] = 1 })
			panic("first")
		})
		if p == nil {
			t.Errorf("depth %d: the first panic was lost", depth)
		}
	}
}
