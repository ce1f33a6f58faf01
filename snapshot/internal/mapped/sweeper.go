package mapped

import (
	"sync"
	"time"
	"weak"
)

// sweepInterval is how long pages that have left the memory may still be taken to be there. A
// sweep asks the kernel about 128 MiB in some 0.1 ms.
const sweepInterval = 5 * time.Second

var Sweeping sweeper

// A sweeper looks now and then which pages of its mappings are still in memory. It is a timer,
// which runs while there are mappings, and keeps none of them from being closed or collected.
type sweeper struct {
	Turn sync.Mutex // held while a sweep goes on, and by tests that none is to disturb

	Mu       sync.Mutex // guards what follows
	Mappings []weak.Pointer[Mapping]
	running  bool // a timer is set, or the sweep itself goes on
}

func (s *sweeper) add(mps ...weak.Pointer[Mapping]) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.Mappings = append(s.Mappings, mps...)
	if !s.running {
		s.running = true
		time.AfterFunc(sweepInterval, func() {
			s.Turn.Lock()
			s.Sweep()
			s.Turn.Unlock()
			s.again()
		})
	}
}

// again sets the timer anew, if there is anything left to look at.
func (s *sweeper) again() {
	s.Mu.Lock()
	s.running = false
	some := len(s.Mappings) > 0
	s.Mu.Unlock()
	if some {
		s.add()
	}
}

// Sweep ages what is known of every mapping, and forgets those that are gone. The caller has the turn.
func (s *sweeper) Sweep() {
	s.Mu.Lock()
	all := s.Mappings
	s.Mappings = nil
	s.Mu.Unlock()

	vec := make([]byte, ChunkPages)
	live := all[:0]
	for _, w := range all {
		if mp := w.Value(); mp != nil && !mp.revoked.Load() {
			mp.recheck(vec)
			live = append(live, w)
		}
	}

	s.Mu.Lock()
	s.Mappings = append(s.Mappings, live...)
	s.Mu.Unlock()
}
