package fusetest

import (
	"sync"
	"time"
)

// MaxHold bounds HoldReads, for the reason that [MaxDelay] bounds Delay. A read that is held for
// longer fails with EIO, and no other one is held any more.
const MaxHold = time.Minute

// A gate holds reads back until the test lets them go.
type gate struct {
	mu     sync.Mutex // guards what follows
	ranges []Range
	held   int64
	moved  chan struct{} // closed when ranges change
}

// hold has the gate hold reads of a byte of ranges from now on, and lets all others go.
func (g *gate) hold(ranges []Range) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.moved != nil {
		close(g.moved)
	}
	g.ranges, g.moved = ranges, make(chan struct{})
}

// pass returns when a read may go on, or false if it was held for too long.
func (g *gate) pass(off, n int64) bool {
	var late <-chan time.Time
	g.mu.Lock()
	defer g.mu.Unlock()
	for anyOverlaps(g.ranges, off, n) {
		if late == nil {
			late = time.After(MaxHold)
		}
		g.held++
		moved := g.moved
		g.mu.Unlock()
		ok := true
		select {
		case <-moved:
		case <-late:
			ok = false
		}
		g.mu.Lock()
		g.held--
		if !ok {
			g.ranges = nil
			close(g.moved) // those that are held go on
			g.moved = make(chan struct{})
			return false
		}
	}
	return true
}

// holding returns how many reads are held.
func (g *gate) holding() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}
