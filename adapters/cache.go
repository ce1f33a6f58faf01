package adapters

import (
	"context"
	"errors"
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
	config   snapshot.Config // constant
	localDev uint64          // constant: see localDevice
	idleTime time.Duration   // the constant of that name, but in tests

	mu     sync.Mutex // guards what follows, and is held for moments
	closed bool
	known  map[identity]*shared // those that whoever opens the file next may have
	making map[identity]*making
	events int64       // counts those who open, and the snapshots that are begun
	idle   []*shared   // those known that nobody uses; the longest idle first
	timer  *time.Timer // for the first of them; nil if there is none
}

// A shared snapshot has several users.
type shared struct {
	m     *snapshot.Mmap
	id    identity
	users int       // under cache.mu
	since time.Time // when the last user went; under cache.mu
}

// making is a snapshot that is being made.
type making struct {
	begun   int64          // the event
	waiting int            // how many wait for it; under cache.mu
	done    sync.WaitGroup // until it is made, or is not

	// The result, constant once done.Wait returns.
	s   *shared
	err error
}

func newCache(c snapshot.Config, root *os.File) *cache {
	return &cache{
		config: c, localDev: localDevice(root), idleTime: idleTime,
		known: map[identity]*shared{}, making: map[identity]*making{},
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

// get returns a snapshot of the file found, which st describes, and makes one if there is none. The
// caller is then one of its users.
func (c *cache) get(found *os.File, st syscalls.Stat) (*shared, error) {
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
			mk = c.begin(id)
			c.mu.Unlock()
			c.make(mk, st, found)
			return mk.s, mk.err
		}
		mk.waiting++
		c.mu.Unlock()
		mk.done.Wait()
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
func (c *cache) begin(id identity) *making {
	c.events++
	mk := &making{begun: c.events, err: errGaveUp}
	mk.done.Add(1)
	c.making[id] = mk
	return mk
}

// errGaveUp is for those who wait for a snapshot that Config.Progress ended by a panic.
var errGaveUp = errors.New("gave up making a snapshot")

// make makes the snapshot mk of the file found, which st describes. The caller is one of its users,
// and all who wait for it are.
func (c *cache) make(mk *making, st syscalls.Stat, found *os.File) {
	var m *snapshot.Mmap
	var settled bool
	asked, id := identify(st), identify(st)
	err := errGaveUp
	var drop []*shared
	defer func() { closeAll(drop) }()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.making, asked)
		mk.err = err
		if err == nil {
			mk.s = &shared{m: m, id: id, users: 1 + mk.waiting}
			if settled && !c.closed && c.known[id] == nil {
				c.known[id] = mk.s
				drop = c.outdated(id)
			}
		}
		mk.done.Done()
	}()
	m, id, settled, err = c.take(found, st)
}

// take makes a snapshot of the file found, which st described a moment ago. It returns the identity
// of the file before that, and whether every later change gives the file another identity. If so, a
// file that has the identity has had no other contents since the snapshot was begun, and no look at
// it afterwards is needed.
func (c *cache) take(found *os.File, st syscalls.Stat) (
	m *snapshot.Mmap, id identity, settled bool, err error,
) {
	begun, _ := syscalls.CoarseNow() // if that fails, which is long ago, the snapshot is not shared
	first := c.config
	large := st.Size > cheapCopy && !c.config.NoCopy
	if large { // settle may put a copy off; with Lazy, NoCopy would mean that there is none later
		first.NoCopy, first.Lazy = true, false
	}
	m, err = first.FromFile(context.Background(), found)
	if errors.Is(err, errors.ErrUnsupported) && large {
		begun, st = c.settle(found, st)
		m, err = c.config.FromFile(context.Background(), found)
	}
	if err != nil {
		return nil, identity{}, false, err
	}
	return m, identify(st), m.Settled() && isSettled(st, begun), nil
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
	for {
		now, _ := syscalls.CoarseNow()
		wait := st.Granularity() - now.Sub(st.Ctime)
		if st.Size <= cheapCopy || wait <= 0 || wait > maxWait {
			return now, st
		}
		time.Sleep(wait) // perhaps again, as the coarse clock is behind
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
