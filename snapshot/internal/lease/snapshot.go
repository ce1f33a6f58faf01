package lease

import (
	"io/fs"
	"runtime"
	"sync/atomic"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A Snapshot is one of those that share the file under a lease, or its private copy. All methods may
// be called at the same time.
type Snapshot struct {
	st      *state
	stat    syscalls.Stat // constant after creation
	closed  atomic.Bool   // stored before Close gives the lease up
	cleanup runtime.Cleanup
}

func newSnapshot(st *state, stat syscalls.Stat) *Snapshot {
	s := &Snapshot{st: st, stat: stat}
	s.cleanup = runtime.AddCleanup(s, collected, st)
	return s
}

// collected takes a snapshot from st that was not closed.
func collected(st *state) { _ = watch.drop(st, true) }

// Region returns the region of the private copy, if there is one, or that of the original. What is
// read from the original proves nothing.
func (s *Snapshot) Region() *mapped.Region {
	if r := s.st.private.Load(); r != nil {
		return r
	}
	return s.st.orig
}

// Stat describes the file as it was under the lease when the snapshot was opened. Mode, change time
// and link count can be newer than those of a snapshot that shares the state.
func (s *Snapshot) Stat() syscalls.Stat { return s.stat }

// IsOriginal reports whether there is no private copy.
func (s *Snapshot) IsOriginal() bool { return s.st.private.Load() == nil }

// TryRead is [mapped.Region.TryRead], with a proof.
func (s *Snapshot) TryRead(p []byte, off int64) bool {
	if r := s.st.private.Load(); r != nil {
		return !s.closed.Load() && r.TryRead(p, off)
	}
	done := s.st.orig.TryRead(p, off) && s.isProven()
	runtime.KeepAlive(s)
	return done
}

// readClock is clock. It is a variable for tests, which can so do anything between the copy of a read
// and what proves it.
var readClock = clock

// isProven reports whether what the caller has read from the original before is right. It makes no
// system call. The package comment says why the steps are these, and in this order.
func (s *Snapshot) isProven() bool {
	var order atomic.Uint32
	order.Store(1) // no load of the caller passes it, and the loads below do not, either
	now := readClock()
	if s.closed.Load() || s.st.left.Load() {
		return false
	}
	return int64(now)-s.st.wholeAt.Load() < int64(maxAge)
}

// Do calls use, which reads from the region, until what it has read is right, or use fails for a
// reason of its own. If the lease was lost before there was a private copy, the error is
// privatefile.ErrUnstable.
func (s *Snapshot) Do(use func(r *mapped.Region) error) error {
	defer runtime.KeepAlive(s)
	st := s.st
	for {
		if s.closed.Load() {
			return fs.ErrClosed
		}
		if r := st.private.Load(); r != nil {
			return use(r)
		}
		if !st.left.Load() {
			err := use(st.orig)
			// A failure can come from a truncation less than maxAge ago: the clock proves nothing.
			if err == nil && s.isProven() || st.look() {
				return err
			}
			if s.closed.Load() {
				return fs.ErrClosed
			}
		}
		if err := st.leave(); err != nil {
			return s.leaveError(err)
		}
	}
}

// Private returns the region of the private copy, which it makes if there is none.
func (s *Snapshot) Private() (*mapped.Region, error) {
	defer runtime.KeepAlive(s)
	if s.closed.Load() {
		return nil, fs.ErrClosed
	}
	r := s.st.private.Load()
	if r == nil {
		if err := s.st.leave(); err != nil {
			return nil, s.leaveError(err)
		}
		r = s.st.private.Load()
	}
	return r, nil
}

// leaveError returns the error of a method whose copy failed with err.
func (s *Snapshot) leaveError(err error) error {
	if s.closed.Load() {
		return fs.ErrClosed
	}
	return err
}

// Close ends the snapshot; the last one of a file gives the lease up before it returns. Memory of the
// private copy stays until the last snapshot is closed.
func (s *Snapshot) Close() error {
	if s.closed.Swap(true) {
		return fs.ErrClosed
	}
	s.cleanup.Stop()
	err := watch.drop(s.st, false)
	runtime.KeepAlive(s)
	return err
}
