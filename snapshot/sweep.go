package snapshot

import (
	"sync"
	"time"
	"weak"
)

// sweepInterval is how long pages that have left the memory may still be taken to be there. A
// sweep asks the kernel about 128 MiB in some 0.1 ms.
const sweepInterval = 5 * time.Second

var swept sweeper

// A sweeper looks now and then which pages of its mappings are still in memory. It is a timer,
// which runs while there are mappings, and keeps none of them from being closed or collected.
type sweeper struct {
	turn sync.Mutex // held while a sweep goes on, and by tests that none is to disturb

	mu       sync.Mutex // guards what follows
	mappings []weak.Pointer[mapping]
	running  bool // a timer is set, or the sweep itself goes on
}

func (s *sweeper) add(mps ...weak.Pointer[mapping]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mappings = append(s.mappings, mps...)
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
	some := len(s.mappings) > 0
	s.mu.Unlock()
	if some {
		s.add()
	}
}

// sweep ages what is known of every mapping, and forgets those that are gone. The caller has the turn.
func (s *sweeper) sweep() {
	s.mu.Lock()
	all := s.mappings
	s.mappings = nil
	s.mu.Unlock()

	vec := make([]byte, leafPages)
	live := all[:0]
	for _, w := range all {
		if mp := w.Value(); mp != nil && !mp.poisoned.Load() {
			mp.age(vec)
			live = append(live, w)
		}
	}

	s.mu.Lock()
	s.mappings = append(s.mappings, live...)
	s.mu.Unlock()
}
