package mapped

import (
	"errors"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// collections is how often the garbage collector is run at most for one mapping.
const collections = 3

// futile remembers that addresses ran out and nothing could be given back, so that not every
// call that needs addresses runs the garbage collector.
var futile struct {
	sync.Mutex // held while the garbage collector runs
	usage
}

// mapInsisting returns the memory that call maps. Memory of snapshots that were closed or dropped is
// given back when the garbage collector finds them unreachable, and it does not know how large
// they are: so it is run when addresses or mappings run out, and then what is in quarantine goes, too.
func mapInsisting(call func() ([]byte, error)) ([]byte, error) {
	for try := 0; ; try++ {
		mem, err := space.take(call)
		if !errors.Is(err, syscall.ENOMEM) || !reclaim(try) {
			return mem, err
		}
	}
}

// reclaim tries to have addresses given back, and reports whether that may have helped.
func reclaim(try int) bool {
	futile.Lock()
	defer futile.Unlock()
	ranges, changes := space.state()
	if !futile.outdated(changes) {
		return false
	}
	inUse := ranges - quarantined.count()
	if try < collections && inUse > 0 && (space.hasRoom() || quarantined.empty() > 0 && space.hasRoom()) {
		runtime.GC()
		time.Sleep(time.Millisecond << try) // the cleanups run on a goroutine of their own
		return true
	}
	if try <= collections && quarantined.empty() > 0 {
		return true
	}
	futile.usage = usage{time.Now(), changes}
	return false
}
