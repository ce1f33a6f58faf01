package mapped

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// A writeback remembers that the kernel could not write dirty pages of a private file to the disk.
// The kernel then takes the pages for clean. After it evicts them, they read as zeros or as old
// data, without an error. It records the failure before it can evict a page, so a question after a
// read finds the failure of every page that the read may have missed.
//
// The kernel reports a failure once to each descriptor (errseq_t), to the call that asks first. So
// each call notes its answer here.
type writeback struct {
	clean   atomic.Bool           // there are no dirty pages, or the kernel does not answer
	failed  atomic.Pointer[error] // nil if no failure is known; never changed back
	asking  sync.RWMutex          // shared by the reads that ask; guards stopped
	stopped bool                  // no read may ask
}

// known returns an error if a failure is known.
func (w *writeback) known() error {
	if err := w.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// note notes an error that the kernel reported, and returns known.
func (w *writeback) note(err error) error {
	err = fmt.Errorf("the kernel could not write the private copy to the disk: %w", err)
	w.failed.CompareAndSwap(nil, &err)
	return w.known()
}

// check asks for failures, and returns known.
func (w *writeback) check(file *os.File) error {
	if err := w.known(); err != nil || w.clean.Load() {
		return err
	}
	w.asking.RLock()
	defer w.asking.RUnlock()
	if w.stopped {
		return w.known()
	}
	switch refused, err := ask(sys.WritebackFailed, int(file.Fd())); {
	case refused:
		w.clean.Store(true)
	case err != nil:
		return w.note(err)
	}
	return w.known()
}

// wait calls a function that reports failures and can wait for the disk. Reads can ask meanwhile.
func (w *writeback) wait(call func(fd int) error, fd int) error {
	switch refused, err := ask(call, fd); {
	case refused:
		return err
	case err != nil:
		return w.note(err)
	}
	w.drain() // a read may have got the report
	return w.known()
}

// drain waits until the reads that ask now have noted their answers.
func (w *writeback) drain() {
	w.asking.Lock()
	defer w.asking.Unlock()
}

// stop is drain. If stopped is true, no read asks from then on.
func (w *writeback) stop(stopped bool) {
	w.asking.Lock()
	defer w.asking.Unlock()
	w.stopped = stopped
}

// ask calls a function that reports failures. An error that can be a refusal of the call, as by a
// seccomp filter, is one if it repeats: the kernel reports a failure once.
func ask(call func(fd int) error, fd int) (refused bool, err error) {
	err = call(fd)
	return isRefused(err) && isRefused(call(fd)), err
}

func isRefused(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported)
}
