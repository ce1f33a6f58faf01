package lease

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// maxAge is how long after a whole look nothing can have been written to the file, whatever happens:
// half of the least time that the kernel makes a writer wait.
const maxAge = 500 * time.Millisecond

var started = time.Now()

// clock returns the time of CLOCK_MONOTONIC.
func clock() time.Duration { return time.Since(started) }

// limits is fs.lease-break-time. The watcher reads it each second.
var limits breakTime

// A key is what snapshots that share a state have in common: the file, and what says how its
// private copy is made.
type key struct {
	dev, ino uint64
	noCopy   bool
	tempDir  string
}

func keyOf(st syscalls.Stat, o privatefile.Options) key {
	return key{st.Dev, st.Ino, o.NoCopy, o.TempDir}
}

// A state is a file under a lease, and later its private copy. Snapshots of the file share it.
type state struct {
	// Constant after creation.
	file    *os.File       // the original; orig owns it, and closes it
	orig    *mapped.Region // of the original
	stat    syscalls.Stat  // of the original, under the lease
	dir     int            // where the copy is to lie, or pathname.NoDir
	options privatefile.Options
	key     key

	wholeAt atomic.Int64 // when a look last found the lease whole: a value of clock

	// left is stored before the lease is given up: what is read from orig and not proven yet must
	// be read again.
	left    atomic.Bool
	private atomic.Pointer[mapped.Region] // the private copy; nil until the lease has proven it

	leaving sync.Mutex // held while the copy is made; guards lost
	lost    error      // why there is no private copy, though left

	mu     sync.Mutex         // guards what follows
	ended  bool               // no snapshot uses the state any more
	cancel context.CancelFunc // ends the copy that is being made

	// Guarded by watcher.mu.
	snapshots int  // that use the state
	keep      bool // code may use Bytes of a snapshot that was collected
}

func newState(
	file *os.File, st syscalls.Stat, dir int, options privatefile.Options,
) (*state, error) {
	orig, err := mapped.New(file, st.Size, st.UID, false, true)
	if err != nil {
		return nil, err
	}
	s := &state{
		file: file, orig: orig, stat: st, dir: dir, options: options, key: keyOf(st, options),
	}
	s.wholeAt.Store(int64(-maxAge)) // before any value of clock
	return s, nil
}

// withFD calls use with the descriptor of the original, which stays open until use returns.
func (st *state) withFD(use func(fd int) error) (err error) {
	conn, connErr := st.file.SyscallConn()
	if connErr != nil {
		return fs.ErrClosed
	}
	if conn.Control(func(fd uintptr) { err = use(int(fd)) }) != nil {
		return fs.ErrClosed
	}
	return err
}

// look asks the kernel whether the lease is whole, and whether the file is as it was: truncation
// through an overlay breaks no lease. If both are so, earlier reads are right.
func (st *state) look() bool {
	_, whole := st.describe()
	return whole
}

// describe is look, and describes the original.
func (st *state) describe() (found syscalls.Stat, whole bool) {
	now := clock() // before the kernel answers
	err := st.withFD(func(fd int) error {
		kind, err := sys.GetLease(fd)
		if err == nil && kind != syscalls.ReadLease {
			err = errLeaseLost
		}
		if err != nil {
			return err
		}
		found, err = st.unchanged(fd)
		// The new owner could truncate the file through an overlay and set its times back.
		if err == nil && found.UID != st.stat.UID {
			err = errNotOwned
		}
		return err
	})
	if err != nil || !limits.isSound() {
		return found, false
	}
	for {
		old := st.wholeAt.Load()
		if int64(now) <= old || st.wholeAt.CompareAndSwap(old, int64(now)) {
			return found, true
		}
	}
}

var (
	errLeaseLost = errors.New("a writer did not wait any longer")
	errNotOwned  = errors.New("the file has another owner")
	errChanged   = errors.New("the file changed in spite of a lease")
	errNoCopy    = fmt.Errorf("the data would have to be copied: %w", errors.ErrUnsupported)
)

// unchanged describes the original. The error is errChanged if it is not as it was under the lease.
// The change time is left out: chmod(2) and link(2) set it. A descriptor that other code of the
// program has closed can be another file by now.
func (st *state) unchanged(fd int) (syscalls.Stat, error) {
	now, err := sys.Fstat(fd)
	if err == nil && (!pathname.SameInode(now, st.stat) || now.Size != st.stat.Size ||
		!now.Mtime.Equal(st.stat.Mtime)) {
		err = errChanged
	}
	return now, err
}

// leave makes the private copy and gives the lease up. It returns when that is done, and with nil
// if private is set. If the copy cannot be made and no process waits for the lease, the snapshots
// stay as they are.
func (st *state) leave() error {
	st.leaving.Lock()
	defer st.leaving.Unlock()
	if st.left.Load() {
		return st.lost
	}
	region, err := st.copy()
	if err != nil && !st.hasEnded() && st.look() {
		return err
	}
	st.left.Store(true) // before the release: see the package comment
	if released := st.release(); err == nil && released != nil {
		err = errLeaseLost // the copy may have what the writer wrote
	}
	if err == nil && !st.publish(region) {
		err = fs.ErrClosed
	}
	if err != nil {
		if region != nil {
			_ = region.Close()
		}
		if !errors.Is(err, privatefile.ErrUnstable) {
			err = fmt.Errorf("%w: %w", privatefile.ErrUnstable, err)
		}
		st.lost = err
	}
	st.closeOriginal()
	return st.lost
}

// isLeaving reports whether a goroutine is in leave.
func (st *state) isLeaving() bool {
	if st.leaving.TryLock() {
		st.leaving.Unlock()
		return false
	}
	return true
}

// copy makes the private copy. If it returns no error, the original had not changed by then.
func (st *state) copy() (*mapped.Region, error) {
	ctx, err := st.begin()
	if err != nil {
		return nil, err
	}
	if st.options.NoCopy {
		return nil, errNoCopy
	}
	var p privatefile.File
	err = st.withFD(func(fd int) error {
		if _, err := st.unchanged(fd); err != nil {
			return err
		}
		p, err = st.options.CopyUnderLease(ctx, privatefile.Source{
			FD: fd, Exclusive: true, Stat: st.stat, Dir: func() int { return st.dir },
		})
		if err != nil {
			return err
		}
		if _, err = st.unchanged(fd); err != nil {
			_ = syscalls.Close(p.FD)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return mapped.New(os.NewFile(uintptr(p.FD), st.file.Name()), p.Size, p.Owner, false, false)
}

// begin returns a context that ends with the last snapshot.
func (st *state) begin() (context.Context, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ended {
		return nil, fs.ErrClosed
	}
	if st.cancel != nil { // of an attempt before
		st.cancel()
	}
	ctx, cancel := context.WithCancel(context.Background())
	st.cancel = cancel
	return ctx, nil
}

// release gives the lease up, in all processes that have the descriptor: a child that was forked and
// has not called execve(2) yet, too. The error says that it was there no more.
func (st *state) release() error {
	return st.withFD(func(fd int) error { return sys.SetLease(fd, syscalls.NoLease) })
}

// publish sets private, unless there is no snapshot left to use it.
func (st *state) publish(region *mapped.Region) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.ended {
		st.private.Store(region)
	}
	return !st.ended
}

func (st *state) hasEnded() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.ended
}

// closeOriginal gives back what only the lease needs. The caller has leaving, and calls it once.
func (st *state) closeOriginal() {
	_ = st.orig.Close() // reads that are under way fault or fail, and are repeated
	if st.dir != pathname.NoDir {
		_ = syscalls.Close(st.dir)
	}
}

// end gives everything back, when no snapshot uses the state any more. It waits for no copy: one that
// is being made is cancelled. If keep is true, the garbage collector closes the private copy.
func (st *state) end(keep bool) (err error) {
	st.mu.Lock()
	st.ended = true
	region := st.private.Load()
	if st.cancel != nil {
		st.cancel()
	}
	st.mu.Unlock()
	if region != nil {
		if !keep {
			err = region.Close()
		}
		return err
	}
	_ = st.release() // of a copy that is being made, too: nobody needs it
	if st.leaving.TryLock() {
		if !st.left.Swap(true) {
			st.lost = fs.ErrClosed
			st.closeOriginal()
		}
		st.leaving.Unlock()
		return nil
	}
	// leave is under way. If it has given up already, because no process waits, it does not close
	// the original.
	go func() { _ = st.leave() }()
	return nil
}
