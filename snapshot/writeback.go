package snapshot

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// A writebackState remembers that the kernel failed to write dirty pages of a private file to the
// disk. The kernel then takes the pages for clean. After it evicts them, they read as zeros or as
// old data, without an error.
//
// The kernel reports a failure once to each descriptor (errseq_t), to whichever call asks first. So
// each call that asks notes the answer, and a commit does not rely on its own question alone.
type writebackState struct {
	dirty  bool // the private file can have dirty pages; constant after creation
	asking sync.RWMutex
	failed atomic.Pointer[error]
	asked  atomic.Int64 // when checkLost asked last: nanoseconds since started
}

// ask notes the answer of a call that reports failures. Several may ask at the same time.
func (w *writebackState) ask(call func() error) error {
	w.asking.RLock()
	defer w.asking.RUnlock()
	return w.note(call())
}

// askLast is ask, and no answer that another call got is missed.
func (w *writebackState) askLast(call func() error) error {
	w.asking.Lock()
	defer w.asking.Unlock()
	return w.note(call())
}

func (w *writebackState) note(err error) error {
	if err != nil {
		w.failed.CompareAndSwap(nil, &err)
	}
	if first := w.failed.Load(); first != nil {
		return *first
	}
	return nil
}

// wait waits until no call asks. After closed was set, none begins to.
func (w *writebackState) wait() {
	w.asking.Lock()
	defer w.asking.Unlock()
}

// lost reports whether a failure is known.
func (w *writebackState) lost() bool { return w.failed.Load() != nil }

// known returns an error if a failure is known.
func (w *writebackState) known() error { return lostError(w.note(nil)) }

func lostError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the kernel could not write the private copy to the disk: %w", err)
}
