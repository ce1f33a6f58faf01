package lease

import (
	"errors"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

const (
	// signal is sent to the watcher's thread alone, which has it blocked: the handlers of the
	// program do not get it. A real-time signal is queued, so none of several is lost. The thread
	// also takes signals of this number that were sent to the process: rt_sigtimedwait(2) cannot tell.
	signal = 62

	// tick is how long a writer waits at most until the watcher notices it without the signal: as
	// when RLIMIT_SIGPENDING is used up, and the kernel sends SIGIO instead.
	tick = time.Second
)

// watch is the only watcher of the process.
var watch = watcher{watched: map[*state]struct{}{}, newest: map[key]*state{}}

// A watcher has each state left whose lease a process wants to break. It is a thread, which runs
// while there are leases, and ends a second or two after the last.
type watcher struct {
	mu      sync.Mutex // guards what follows
	watched map[*state]struct{}
	newest  map[key]*state // of each file: what a new snapshot can share
	opening int            // leases that are being taken for thread
	used    bool           // a lease was taken since the last tick
	thread  int            // 0: it does not run
}

// join returns a state of k with one snapshot more, or nil. The caller looks whether the lease is
// whole.
func (w *watcher) join(k key) *state {
	w.mu.Lock()
	defer w.mu.Unlock()
	st := w.newest[k]
	if st == nil || st.left.Load() {
		return nil
	}
	st.snapshots++
	return st
}

// begin returns the thread that is to get the signals of a new lease. It runs until add or abandon
// is called.
func (w *watcher) begin() (thread int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.thread == 0 {
		limits.refresh()
	}
	if !limits.isSound() {
		return 0, errBreakTime
	}
	if w.thread == 0 {
		type result struct {
			thread int
			err    error
		}
		begun := make(chan result)
		go w.run(func(thread int, err error) { begun <- result{thread, err} })
		r := <-begun
		if r.err != nil {
			return 0, r.err
		}
		w.thread = r.thread
	}
	w.used = true
	w.opening++
	return w.thread, nil
}

var errBreakTime = errors.New("fs.lease-break-time is too large, or cannot be read")

// abandon is called if a lease that was begun could not be had.
func (w *watcher) abandon() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opening--
}

// add takes over a state with a lease that was begun, and with one snapshot.
func (w *watcher) add(st *state) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opening--
	st.snapshots = 1
	w.watched[st] = struct{}{}
	w.newest[st.key] = st
}

// drop takes one snapshot from a state, and ends the state with the last. Collected reports that the
// garbage collector found the snapshot, so slices of Bytes may be in use.
func (w *watcher) drop(st *state, collected bool) error {
	w.mu.Lock()
	st.snapshots--
	st.keep = st.keep || collected
	last, keep := st.snapshots == 0, st.keep
	if last {
		delete(w.watched, st)
		if w.newest[st.key] == st {
			delete(w.newest, st.key)
		}
	}
	w.mu.Unlock()
	if !last {
		return nil
	}
	return st.end(keep)
}

// run is the watcher's goroutine. It calls begun once. The goroutine stays locked to its thread, so
// that the thread, of whose blocked signal the runtime knows nothing, ends with it.
func (w *watcher) run(begun func(thread int, err error)) {
	runtime.LockOSThread()
	thread, err := syscalls.BlockSignal(signal)
	if errors.Is(err, syscall.EBUSY) { // the first thread of the process, which does not end
		elsewhere := make(chan struct{})
		go w.run(func(thread int, err error) { // on another thread, since this one is locked
			begun(thread, err)
			close(elsewhere)
		})
		<-elsewhere
		runtime.UnlockOSThread()
		return
	}
	begun(thread, err)
	if err != nil {
		return
	}
	for last := time.Now(); ; {
		err := syscalls.AwaitSignal(signal, max(0, tick-time.Since(last)))
		for err == nil { // one look answers all that are pending
			err = syscalls.AwaitSignal(signal, 0)
		}
		if !errors.Is(err, syscall.EAGAIN) { // a sandbox refuses the call
			time.Sleep(tick)
		}
		if time.Since(last) >= tick {
			last = time.Now()
			limits.refresh()
			if w.endIfIdle() {
				return
			}
		}
		w.look()
	}
}

// endIfIdle is called once a tick, and reports whether the goroutine is to end.
func (w *watcher) endIfIdle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	idle := !w.used && w.opening == 0 && len(w.watched) == 0
	w.used = false
	if idle {
		w.thread = 0
	}
	return idle
}

// look has each state left whose lease is not whole.
func (w *watcher) look() {
	w.mu.Lock()
	states := make([]*state, 0, len(w.watched))
	for st := range w.watched {
		states = append(states, st)
	}
	w.mu.Unlock()
	for _, st := range states {
		switch {
		case st.left.Load():
			w.mu.Lock()
			delete(w.watched, st)
			w.mu.Unlock()
		case !st.isLeaving() && !st.look():
			go func() { _ = st.leave() }()
		}
	}
}
