package adapters

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// Limits bounds the copies that callers make an [FS] hold. A copy counts with the size of its file,
// holes included, because holes take memory when they are read from a tmpfs. A reflink copies no data
// and does not count. For each field, zero is the default and a negative value is no limit.
type Limits struct {
	// Copying is how many bytes may be in the files that are being copied at a time. A larger file
	// is copied while no other one is. The default is 256 MiB.
	Copying int64

	// Copies is how many files may be being copied at a time. The default is 64.
	Copies int

	// Held is how many bytes the copies may have that exist: those in use, those being made and
	// those kept for the next caller, which the FS drops if it needs the room. A file that is
	// larger cannot be opened. If the copies of several versions of one file take more than half of
	// it, no other version is copied until one of them is closed. The default is 1 GiB.
	Held int64

	// Wait is how long opening a file waits at one of these limits before it fails with ErrLimit.
	// The default is 10 s.
	Wait time.Duration
}

// ErrLimit is found by errors.Is in the error of opening a file of an [FS] at one of its [Limits].
// The text names the limit.
var ErrLimit = errors.New("limit reached")

// SetLimits changes the limits of f, and of all that Sub returned, from the next copy on.
func (f *FS) SetLimits(l Limits) {
	f.shared.mu.Lock()
	defer f.shared.mu.Unlock()
	f.shared.limits = l.complete()
	f.shared.announce()
}

// noLimit is more than any sum of sizes.
const noLimit = 1 << 62

// complete returns l with the defaults for its zero fields, and noLimit for negative ones.
func (l Limits) complete() Limits {
	return Limits{
		Copying: limit(l.Copying, 256<<20),
		Copies:  int(min(limit(int64(l.Copies), 64), 1<<30)),
		Held:    limit(l.Held, 1<<30),
		Wait:    time.Duration(limit(int64(l.Wait), int64(10*time.Second))),
	}
}

func limit(n, byDefault int64) int64 {
	switch {
	case n == 0:
		return byDefault
	case n < 0:
		return noLimit
	}
	return n
}

// A claim is the room that one copy takes, from before it is made until it is closed.
type claim struct {
	name  string // of the file, below the root
	bytes int64  // at least 1, or 0 if it is no copy and takes no room
}

// used counts the claims.
type used struct {
	copying, held int64
	copies        int
	byName        map[string]int64 // bytes held of each name
}

// reached returns a text that names the limit at which the claim would be, or "", and whether the
// room that closing another copy gives back would help.
func (c *cache) reached(cl claim) (why string, held bool) {
	l, u := &c.limits, &c.used
	others := u.byName[cl.name]
	switch {
	case u.copies+1 > l.Copies:
		return fmt.Sprintf("Limits.Copies: %d files are being copied", u.copies), false
	case u.copies > 0 && u.copying+cl.bytes > l.Copying:
		return fmt.Sprintf("Limits.Copying: %d bytes are being copied", u.copying), false
	case u.held+cl.bytes > l.Held:
		return fmt.Sprintf("Limits.Held: copies of %d bytes exist", u.held), true
	case others > 0 && others+cl.bytes > l.Held/2:
		return fmt.Sprintf("Limits.Held: copies of other versions of %d bytes exist", others), true
	}
	return "", false
}

// claim takes room for a copy of cl.bytes, and waits for it if need be.
func (c *cache) claim(ctx context.Context, cl claim) error {
	var timeout <-chan time.Time
	for {
		c.mu.Lock()
		why, held := c.reached(cl)
		l := c.limits
		if c.closed {
			c.mu.Unlock()
			return fs.ErrClosed
		}
		if why == "" {
			c.used.copying += cl.bytes
			c.used.copies++
			c.hold(cl)
			c.mu.Unlock()
			return nil
		}
		if cl.bytes > l.Held {
			c.mu.Unlock()
			return fmt.Errorf("a copy of %d bytes: %w: Limits.Held is %d", cl.bytes, ErrLimit, l.Held)
		}
		var drop []*shared
		if held {
			all := c.used.held+cl.bytes > l.Held // or else copies of this file alone are in the way
			drop = c.forgetCopy(func(idle claim) bool { return all || idle.name == cl.name })
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		if c.closeAll(drop); len(drop) > 0 {
			continue
		}
		if timeout == nil {
			timer := time.NewTimer(l.Wait)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout:
			return fmt.Errorf("a copy of %d bytes: %w: %s", cl.bytes, ErrLimit, why)
		}
	}
}

// announce wakes those who wait for room. The caller holds mu.
func (c *cache) announce() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// finish ends the making of a copy, which failed if m is nil. It returns the claim of what was
// made.
func (c *cache) finish(cl claim, m *snapshot.Mmap) claim {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used.copying -= cl.bytes
	c.used.copies--
	c.leave(cl)
	cl.bytes = 0
	if m != nil && m.Method() != snapshot.Reflink {
		cl.bytes = max(m.Size(), 1) // the file can have grown since it was looked at
		c.hold(cl)
	}
	c.announce()
	return cl
}

// hold counts the room of a copy. The caller holds mu.
func (c *cache) hold(cl claim) {
	c.used.held += cl.bytes
	c.used.byName[cl.name] += cl.bytes
}

// leave gives back the room of a copy that is closed. The caller holds mu.
func (c *cache) leave(cl claim) {
	c.used.held -= cl.bytes
	if c.used.byName[cl.name] -= cl.bytes; c.used.byName[cl.name] <= 0 {
		delete(c.used.byName, cl.name)
	}
}
