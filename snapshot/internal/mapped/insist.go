package mapped

import (
	"errors"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// collections is how often the garbage collector is run at most for one mapping.
const collections = 5

// futile remembers that addresses ran out and nothing could be given back, so that not every
// call that needs addresses runs the garbage collector.
var futile struct {
	sync.Mutex // held while the garbage collector runs
	usage
}

// mapInsisting is take, and looks for addresses if there are none. Memory of snapshots that were
// closed or dropped is given back when the garbage collector finds them unreachable, and it does
// not know how large they are: so it is run when addresses or mappings run out, and then what is in
// quarantine goes, too.
func mapInsisting(length int, less int64, call func() ([]byte, error)) ([]byte, error) {
	for try := 0; ; try++ {
		mem, err := space.take(length, less, call)
		if limit, ok := errors.AsType[*limitError](err); ok && limit.never {
			return nil, err
		}
		if !errors.Is(err, syscall.ENOMEM) || !reclaim(try, int64(length)) {
			return mem, err
		}
	}
}

// reclaim tries to have addresses for length bytes given back, and reports whether that may have
// helped.
func reclaim(try int, length int64) bool {
	futile.Lock()
	defer futile.Unlock()
	ranges, changes := space.state()
	if !futile.outdated(changes) {
		return false
	}
	kept, bytes := quarantined.held()
	useful := try < collections && ranges > kept
	if useful && (space.hasRoom() || quarantined.empty() && space.hasRoom()) {
		runtime.GC()
		time.Sleep(time.Millisecond << try) // the cleanups run on a goroutine of their own
		return true
	}
	if try <= collections && space.canFit(length, bytes) && quarantined.empty() {
		return true
	}
	futile.usage = usage{time.Now(), changes}
	return false
}
