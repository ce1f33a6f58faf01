package mapped

import (
	"sync"
	"time"
)

// sweepInterval is how long pages that have left the memory may still be taken to be there. A
// sweep asks the kernel about 128 MiB in some 0.1 ms.
const sweepInterval = 5 * time.Second

var sweeping sweeper

// A recheckFunc corrects the sets of pages of one region. It reports false, and does nothing, if
// the region is closed or collected. vec has room for an answer of mincore on a chunk.
type recheckFunc func(vec []byte) (live bool)

// A sweeper looks now and then which pages of its regions are still in memory. It is a timer, which
// runs while there are regions, and keeps none of them from being closed or collected.
type sweeper struct {
	turn sync.Mutex // held while a sweep goes on, and by tests that none is to disturb

	mu      sync.Mutex    // guards what follows
	regions []recheckFunc // invariant: each refers to its region by a weak pointer alone
	running bool          // a timer is set, or the sweep itself goes on
}

func (s *sweeper) add(regions ...recheckFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.regions = append(s.regions, regions...)
	if !s.running {
		s.running = true
		time.AfterFunc(sweepInterval, func() {
			s.turn.Lock()
			s.sweep()
			s.turn.Unlock()
			s.again()
		})
	}
}

// again sets the timer anew, if there is anything left to look at.
func (s *sweeper) again() {
	s.mu.Lock()
	s.running = false
	some := len(s.regions) > 0
	s.mu.Unlock()
	if some {
		s.add()
	}
}

// sweep rechecks what is known of every region, and forgets those that are gone. The caller has the
// turn.
func (s *sweeper) sweep() {
	s.mu.Lock()
	all := s.regions
	s.regions = nil
	s.mu.Unlock()

	vec := make([]byte, chunkPages)
	live := all[:0]
	for _, recheck := range all {
		if recheck(vec) {
			live = append(live, recheck)
		}
	}

	s.mu.Lock()
	s.regions = append(s.regions, live...)
	s.mu.Unlock()
}
