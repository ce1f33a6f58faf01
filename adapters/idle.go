package adapters

import (
	"slices"
	"time"
)

const (
	idleCount = 32               // how many snapshots that nobody uses are kept
	idleTime  = 10 * time.Second // and for how long
)

// acquire adds a user. The caller holds mu.
func (c *cache) acquire(s *shared) {
	if s.users++; s.users == 1 {
		c.idle = slices.DeleteFunc(c.idle, func(other *shared) bool { return other == s })
	}
}

// release takes a user away.
func (c *cache) release(s *shared) {
	var drop []*shared
	defer func() { c.closeAll(drop) }()
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.users--; s.users == 0 {
		drop = c.retire(s)
	}
}

// retire keeps a snapshot without users for the next caller, if it is in the cache. The caller holds
// mu, and closes what retire returns.
func (c *cache) retire(s *shared) []*shared {
	if c.known[s.id] != s {
		return []*shared{s}
	}
	s.since = time.Now()
	c.idle = append(c.idle, s)
	drop := c.forget(max(len(c.idle)-idleCount, 0))
	c.arm()
	c.announce() // to those who wait for the room of a copy
	return drop
}

// forgetCopy takes a copy that helps out of the cache: the one that was idle longest. The caller holds
// mu, and closes what it returns.
func (c *cache) forgetCopy(helps func(claim) bool) []*shared {
	i := slices.IndexFunc(c.idle, func(s *shared) bool { return s.claim.bytes > 0 && helps(s.claim) })
	if i < 0 {
		return nil
	}
	s := c.idle[i]
	c.idle = slices.Delete(c.idle, i, i+1)
	delete(c.known, s.id)
	return []*shared{s}
}

// forget takes the n snapshots that were idle longest out of the cache. The caller holds mu,
// and closes them.
func (c *cache) forget(n int) []*shared {
	drop := slices.Clone(c.idle[:n])
	c.idle = slices.Delete(c.idle, 0, n)
	for _, s := range drop {
		delete(c.known, s.id)
	}
	return drop
}

// reject takes a snapshot that has users out of the cache. The last of them closes it.
func (c *cache) reject(s *shared) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[s.id] == s {
		delete(c.known, s.id)
	}
}

// outdated takes what is idle and shows another state of the same file out of the cache. The
// caller holds mu, and closes it.
func (c *cache) outdated(now identity) (drop []*shared) {
	c.idle = slices.DeleteFunc(c.idle, func(s *shared) bool {
		old := s.id.dev == now.dev && s.id.ino == now.ino // and it is not now, which is new
		if old {
			delete(c.known, s.id)
			drop = append(drop, s)
		}
		return old
	})
	return drop
}

// arm sets the timer for what is idle. The caller holds mu.
func (c *cache) arm() {
	if c.timer == nil && len(c.idle) > 0 {
		c.timer = time.AfterFunc(time.Until(c.idle[0].since.Add(c.idleTime)), c.expire)
	}
}

// expire runs when the timer has expired.
func (c *cache) expire() {
	var drop []*shared
	defer func() { c.closeAll(drop) }()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = nil
	n := 0
	for n < len(c.idle) && time.Since(c.idle[n].since) >= c.idleTime {
		n++
	}
	drop = c.forget(n)
	c.arm()
}

// close drops what is idle and keeps nothing from then on. It reports false if it was closed
// before.
func (c *cache) close() bool {
	var drop []*shared
	defer func() { c.closeAll(drop) }()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.closed = true
	drop = c.forget(len(c.idle))
	clear(c.known) // those in use are closed by their last user
	c.announce()
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	return true
}

// closeAll closes snapshots that have no users and that are not in the cache any more. The caller does
// not hold mu, because it may take a while to free a copy.
func (c *cache) closeAll(drop []*shared) {
	for _, s := range drop {
		_ = s.m.Close()
		if s.claim.bytes > 0 {
			c.mu.Lock()
			c.leave(s.claim)
			c.announce()
			c.mu.Unlock()
		}
	}
}
