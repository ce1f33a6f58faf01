package adapters

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

const (
	// tick is more than the clock that filesystems take times from stands still: up to 10 ms
	// (CONFIG_HZ=100), before Linux 6.13 always.
	tick = 50 * time.Millisecond

	// coarseTick is that where times are whole seconds, as on ext4 with small inodes, or even
	// ones, as on FAT.
	coarseTick = 2 * time.Second

	// cheap is what is copied in less than a tick.
	cheap = 1 << 20
)

// A cache has one snapshot for all who open a file while it is unchanged.
type cache struct {
	config   snapshot.Config // constant
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
	begun   int64 // the event
	waiting int   // how many wait for it; under cache.mu
	done    chan struct{}

	// What comes of it, constant once done is closed.
	s   *shared
	err error
}

func newCache(c snapshot.Config) *cache {
	return &cache{config: c, idleTime: idleTime, known: map[identity]*shared{}, making: map[identity]*making{}}
}

// get returns a snapshot of the file found, which info describes, and makes one if there is
// none. The caller is then one of its users.
func (c *cache) get(found *os.File, info fs.FileInfo) (*shared, error) {
	id, _, ok := identify(info)
	if !ok {
		return nil, errors.ErrUnsupported
	}
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
			c.make(mk, id, found)
			return mk.s, mk.err
		}
		mk.waiting++
		c.mu.Unlock()
		<-mk.done
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
	mk := &making{begun: c.events, done: make(chan struct{}), err: errGaveUp}
	c.making[id] = mk
	return mk
}

// errGaveUp is for those who wait for a snapshot that Config.Progress ended by a panic.
var errGaveUp = errors.New("gave up making a snapshot")

// make makes the snapshot mk. The caller is one of its users, and all who wait for it are.
func (c *cache) make(mk *making, id identity, found *os.File) {
	var m *snapshot.Mmap
	var now identity
	var settled bool
	err := errGaveUp
	var drop []*shared
	defer func() { closeAll(drop) }()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.making, id)
		mk.err = err
		if err == nil {
			mk.s = &shared{m: m, id: now, users: 1 + mk.waiting}
			if settled && !c.closed && c.known[now] == nil {
				c.known[now] = mk.s
				drop = c.outdated(now)
			}
		}
		close(mk.done)
	}()
	m, now, settled, err = c.take(found)
}

// take makes a snapshot of the file found and tells which state of the file it shows, and
// whether any later change would give the file another identity.
func (c *cache) take(found *os.File) (m *snapshot.Mmap, id identity, settled bool, err error) {
	f, err := reopen(found)
	if err != nil {
		return nil, id, false, err
	}
	defer f.Close()
	reflink := c.config
	reflink.NoCopy = true
	begun := time.Now()
	m, err = reflink.FromFile(context.Background(), f)
	if errors.Is(err, errors.ErrUnsupported) && !c.config.NoCopy {
		if begun, err = settle(f); err == nil {
			m, err = c.config.FromFile(context.Background(), f)
		}
	}
	if err != nil {
		return nil, id, false, err
	}
	info, err := m.Stat()
	if err != nil {
		_ = m.Close()
		return nil, id, false, err
	}
	id, changed, _ := identify(info)
	return m, id, begun.Sub(changed) >= granularity(changed), nil
}

// granularity returns how long after a time that a filesystem reports another change may get
// the same time.
func granularity(reported time.Time) time.Duration {
	if reported.Nanosecond() == 0 {
		return coarseTick
	}
	return tick
}

// settle waits until any change of f would show in its times, if that is soon and a copy that
// can be shared is worth it. It returns the time then.
func settle(f *os.File) (time.Time, error) {
	info, err := f.Stat()
	if err != nil {
		return time.Time{}, err
	}
	_, changed, _ := identify(info)
	now := time.Now()
	if wait := tick - now.Sub(changed); info.Size() > cheap && wait > 0 && wait <= tick && granularity(changed) == tick {
		time.Sleep(wait)
		now = time.Now()
	}
	return now, nil
}
