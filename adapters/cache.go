package adapters

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

const (
	// cheapCopy is the size of files that are copied in less than syscalls.ClockTick.
	cheapCopy = 1 << 20

	// maxWait is how long a copy is put off at most so that it can be shared.
	maxWait = 100 * time.Millisecond
)

// A cache has one snapshot for all who open a file while it is unchanged.
type cache struct {
	// Constant after creation.
	config   snapshot.Config
	root     *os.Root
	localDev uint64        // see localDevice
	idleTime time.Duration // the constant of that name, but in tests

	mu      sync.Mutex // guards what follows, and is held for moments
	closed  bool
	known   map[identity]*shared // those that whoever opens the file next may have
	making  map[identity]*making
	events  int64       // counts those who open, and the snapshots that are begun
	idle    []*shared   // known ones without users; the longest idle first
	timer   *time.Timer // for the first of them; nil if there is none
	limits  Limits      // complete
	used    used
	changed chan struct{} // closed when a claim may find room; nil if none waits
}

// A shared snapshot has several users.
type shared struct {
	m     *snapshot.Mmap
	id    identity
	claim claim

	// settled: every later change gives the file another identity. If so, a file that has the
	// identity id has had no other contents since the snapshot was begun, and no look at it
	// afterwards is needed. exact: the contents are, in addition, those of the file with that
	// identity, which may have changed between the look at it and the snapshot.
	settled, exact bool

	users int       // under cache.mu
	since time.Time // when the last user went; under cache.mu
}

// making is a snapshot that is being made.
type making struct {
	id      identity        // as it was asked for
	begun   int64           // the event
	waiting int             // how many want it, the caller that makes it included; under cache.mu
	made    bool            // it is made, or is not, and those who waited are its users; under cache.mu
	done    chan struct{}   // closed then
	ctx     context.Context // ends when no caller waits any more
	cancel  context.CancelFunc

	// The result, constant once done is closed.
	s   *shared
	err error
}

func newCache(c snapshot.Config, root *os.Root, dir *os.File) *cache {
	return &cache{
		config: c, root: root, localDev: localDevice(dir), idleTime: idleTime,
		known: map[identity]*shared{}, making: map[identity]*making{},
		limits: Limits{}.complete(), used: used{byName: map[string]int64{}},
	}
}

// localDevice returns the device that a directory lies on, if neither another machine nor a server
// of FUSE can change the files there, or else 0. The number belongs to that filesystem as long as
// the directory is open.
func localDevice(dir *os.File) uint64 {
	magic, err := syscalls.FSType(int(dir.Fd()))
	if err != nil {
		return 0
	}
	switch magic {
	case syscalls.XFS, syscalls.Btrfs, syscalls.Ext4, syscalls.Tmpfs:
		st, err := syscalls.Fstat(int(dir.Fd()))
		if err != nil {
			return 0
		}
		return st.Dev
	}
	return 0
}

// refresh returns st, which fstat(2) said of the file found, or what the server says: on a
// filesystem not known to be local, st may be of some seconds ago.
func (c *cache) refresh(found *os.File, st syscalls.Stat) (syscalls.Stat, error) {
	if st.Dev == c.localDev {
		return st, nil
	}
	st, err := syscalls.FstatSync(int(found.Fd()))
	return st, stale(err)
}

// get returns a snapshot of the file found, of that name below the root, which st describes, and
// makes one if there is none. The caller is then one of its users.
func (c *cache) get(
	ctx context.Context, name string, found *os.File, st syscalls.Stat,
) (*shared, error) {
	st, err := c.refresh(found, st)
	if err != nil {
		return nil, err
	}
	id := identify(st)
	c.mu.Lock()
	c.events++
	asked := c.events
	for {
		if c.closed {
			c.mu.Unlock()
			return nil, fs.ErrClosed
		}
		if s := c.known[id]; s != nil {
			c.acquire(s)
			c.mu.Unlock()
			return s, nil
		}
		mk := c.making[id]
		if mk == nil {
			mk = c.begin(ctx, id)
			c.mu.Unlock()
			return c.make(ctx, mk, name, found, st)
		}
		mk.waiting++
		c.mu.Unlock()
		select {
		case <-mk.done:
		case <-ctx.Done():
			if c.giveUp(mk) {
				return nil, ctx.Err()
			}
		}
		if mk.err != nil {
			return nil, mk.err
		}
		c.mu.Lock()
		// It shows the file as it was when we asked, or later; or the file was the same when
		// we asked as when it was begun.
		if mk.begun > asked || c.known[mk.s.id] == mk.s && mk.s.id == id {
			c.mu.Unlock()
			return mk.s, nil
		}
		c.mu.Unlock()
		c.release(mk.s)
		c.mu.Lock()
	}
}

// begin announces that a snapshot is being made. The caller holds mu.
func (c *cache) begin(ctx context.Context, id identity) *making {
	c.events++
	mk := &making{id: id, begun: c.events, waiting: 1, err: errGaveUp, done: make(chan struct{})}
	mk.ctx, mk.cancel = ctx, func() {} // a caller whose context cannot end waits for ever
	if ctx.Done() != nil {
		mk.ctx, mk.cancel = context.WithCancel(context.WithoutCancel(ctx))
	}
	c.making[id] = mk
	return mk
}

// giveUp takes a caller away from those who wait for mk. It reports false if mk was made before: then
// the caller is one of its users. The making ends when no caller waits for it.
func (c *cache) giveUp(mk *making) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if mk.made {
		return false
	}
	if mk.waiting--; mk.waiting == 0 {
		mk.cancel()
		delete(c.making, mk.id) // the next caller begins another
	}
	return true
}

// errGaveUp is for those who wait for a snapshot that Config.Progress ended by a panic.
var errGaveUp = errors.New("gave up making a snapshot")

// make makes the snapshot mk of the file found, which st describes. All who wait for it are then its
// users: the caller, too, unless ctx has ended before. In that case, make goes on for the others.
func (c *cache) make(
	ctx context.Context, mk *making, name string, found *os.File, st syscalls.Stat,
) (*shared, error) {
	if ctx.Done() == nil {
		c.finishMaking(mk, name, found, st)
		return mk.s, mk.err
	}
	gone := make(chan bool, 1)
	stop := context.AfterFunc(ctx, func() { gone <- c.giveUp(mk) })
	c.finishMaking(mk, name, found, st)
	if !stop() && <-gone {
		return nil, ctx.Err()
	}
	return mk.s, mk.err
}

func (c *cache) finishMaking(mk *making, name string, found *os.File, st syscalls.Stat) {
	defer mk.cancel()
	var s *shared
	var drop []*shared
	err := errGaveUp
	defer func() { c.closeAll(drop) }()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.making[mk.id] == mk {
			delete(c.making, mk.id)
		}
		mk.s, mk.err = s, err
		mk.made = true
		if err == nil {
			s.users = mk.waiting
			if s.settled && !c.closed && c.known[s.id] == nil {
				c.known[s.id] = s
				drop = c.outdated(s.id)
			}
			if s.users == 0 {
				drop = append(drop, c.retire(s)...)
			}
		}
		close(mk.done)
	}()
	s, err = c.take(mk.ctx, name, found, st)
}

// take makes a snapshot of the file found, which st described a moment ago. It has the identity of
// the file before that.
func (c *cache) take(
	ctx context.Context, name string, found *os.File, st syscalls.Stat,
) (*shared, error) {
	begun, _ := syscalls.CoarseNow() // if that fails, which is long ago, the snapshot is not shared
	s := &shared{}
	err := errors.ErrUnsupported
	if st.Size > cheapCopy || c.config.NoCopy { // settle may put a larger copy off
		reflink := c.config
		if !reflink.NoCopy { // with both, the snapshot would have no copy when a process wants to write
			reflink.NoCopy, reflink.Lazy = true, false
		}
		s.m, err = c.open(ctx, reflink, name, found)
	}
	if errors.Is(err, errors.ErrUnsupported) && !c.config.NoCopy {
		if st.Size > cheapCopy {
			begun, st = c.settle(found, st)
		}
		s.m, s.claim, err = c.copy(ctx, name, found, st.Size)
	}
	if err != nil {
		return nil, err
	}
	s.id = identify(st)
	s.settled = s.m.Settled() && isSettled(st, begun)
	s.exact = s.settled && c.isUnchanged(found, st)
	return s, nil
}

// isUnchanged reports whether st still describes the file found.
func (c *cache) isUnchanged(found *os.File, st syscalls.Stat) bool {
	now, err := syscalls.Fstat(int(found.Fd()))
	if err == nil {
		now, err = c.refresh(found, now)
	}
	return err == nil && identify(now) == identify(st)
}

// copy makes a snapshot that may be a copy, within the limits.
func (c *cache) copy(
	ctx context.Context, name string, found *os.File, size int64,
) (m *snapshot.Mmap, cl claim, err error) {
	cl = claim{name, max(size, 1)}
	if err := c.claim(ctx, cl); err != nil {
		return nil, claim{}, err
	}
	defer func() { cl = c.finish(cl, m) }() // also if Progress panics
	m, err = c.open(ctx, c.config, name, found)
	return m, cl, err
}

// open makes a snapshot of the file found. Without /proc, the kernel does not open a file again
// that was only looked up, so its name is looked up once more; the error is ESTALE if that leads
// to another file by now.
func (c *cache) open(
	ctx context.Context, config snapshot.Config, name string, found *os.File,
) (*snapshot.Mmap, error) {
	m, err := config.FromFile(ctx, found)
	if !errors.Is(err, errors.ErrUnsupported) || hasProc(found) {
		return m, err
	}
	config.Root = c.root
	m, err = config.Open(ctx, name)
	if err == nil && !isOf(m, found) {
		_ = m.Close()
		return nil, syscall.ESTALE
	}
	return m, err
}

// stale returns the error of a look at a file that was there a moment ago.
func stale(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return syscall.ESTALE
	}
	return err
}

// isSettled reports whether every change after begun gives the file, which st described before,
// times other than those of st.
//
// That follows if the last change was longer before begun than the times of the file can stand
// still. begun is of CoarseNow, so a change after begun has the time begun or a later one, cut to
// what the filesystem can store: the granularity is a margin for the cut and for the clocks of
// servers, not for the lag of the coarse clock. By time.Now, it would have to be longer than that
// lag. A time in the future is from when the clock was set differently: a change sets another one.
func isSettled(st syscalls.Stat, begun time.Time) bool {
	return begun.Sub(st.Ctime).Abs() >= st.Granularity()
}

// settle waits until every change of f, which st describes, shows in its times, if that is soon and
// a copy that can be shared is worth the wait. It returns the time of CoarseNow after that, and a
// description of f from before that.
func (c *cache) settle(f *os.File, st syscalls.Stat) (time.Time, syscalls.Stat) {
	for end := time.Now().Add(maxWait); ; {
		now, _ := syscalls.CoarseNow()
		wait := st.Granularity() - now.Sub(st.Ctime)
		if st.Size <= cheapCopy || wait <= 0 || wait > time.Until(end) {
			return now, st
		}
		time.Sleep(wait) // perhaps again: the coarse clock is behind, or the file changes
		next, err := syscalls.Fstat(int(f.Fd()))
		if err == nil {
			next, err = c.refresh(f, next)
		}
		if err != nil {
			return now, st // of before the wait: not settled
		}
		st = next
	}
}

// An identity is that of a file in one state.
type identity struct {
	dev, ino           uint64
	size, mtime, ctime int64
}

func identify(st syscalls.Stat) identity {
	return identity{st.Dev, st.Ino, st.Size, st.Mtime.UnixNano(), st.Ctime.UnixNano()}
}

// version returns a text that differs for each identity.
func (id identity) version() string {
	h := fnv.New128a()
	_, _ = fmt.Fprint(h, id) // a hash takes all
	return hex.EncodeToString(h.Sum(nil))
}
