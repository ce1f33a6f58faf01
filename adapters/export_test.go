package adapters

import (
	"testing"
	"time"
)

// SetIdleTime changes how long unused snapshots are kept, until the test ends.
func SetIdleTime(tb testing.TB, d time.Duration) {
	old := idleTime
	idleTime = d
	tb.Cleanup(func() { idleTime = old })
}

// Kept returns how many snapshots f has for those who open a file next, and how many of them
// nobody uses.
func (f *FS) Kept() (known, idle int) {
	f.shared.mu.Lock()
	defer f.shared.mu.Unlock()
	return len(f.shared.known), len(f.shared.idle)
}

const IdleCount = idleCount

var Granularity = granularity
