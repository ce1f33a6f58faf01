package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"iter"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/extentdiff"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A Range is a part of a file.
type Range struct{ Off, Len int64 }

// Changed yields, in ascending order, the ranges in which m may differ from old. Everywhere else the
// two are equal. No two ranges touch. If the sizes differ, the rest of the longer snapshot is in a
// range. An error is yielded once, last, with the zero Range.
//
// If both are reflinks on one XFS or btrfs, Changed compares the addresses of their extents
// (FS_IOC_FIEMAP) and reads no data: the cost grows with the number of extents. It yields more than
// what differs where a process wrote the same bytes again, and where the filesystem moved an extent.
// An extent that has no address of its own, because btrfs compressed it or stored it with the
// metadata, is read and compared if both snapshots have the same one. On ext4 and all other
// filesystems, and for small files, Changed reads both snapshots but for the holes, and yields the
// pages of 4 KiB that differ.
//
// The result does not depend on what other processes do to the files. If m or old is closed
// meanwhile, the error is fs.ErrClosed.
func (m *Mmap) Changed(ctx context.Context, old *Mmap) iter.Seq2[Range, error] {
	return func(yield func(Range, error) bool) {
		if !m.isValid() || !old.isValid() {
			yield(Range{}, fs.ErrInvalid)
			return
		}
		c := comparison{ctx: ctx, old: old, new: m, yield: yield}
		err := c.run()
		if c.stopped || !c.flush() {
			return
		}
		if err != nil {
			yield(Range{}, err)
		}
	}
}

// A comparison is one call of the iterator of Changed.
type comparison struct {
	ctx      context.Context
	old, new *Mmap
	yield    func(Range, error) bool
	pending  Range // found, and perhaps longer than known
	stopped  bool  // yield returned false
	buffers  [2][]byte
}

func (c *comparison) run() error {
	if err := c.check(); err != nil { // also if there is nothing to compare
		return err
	}
	small, large := min(c.old.size(), c.new.size()), max(c.old.size(), c.new.size())
	at := int64(0)
	if c.canShareExtents() {
		var err error
		if at, err = c.compareExtents(small); err != nil {
			return err
		}
	}
	if err := c.compareContents(at, small); err != nil {
		return err
	}
	c.report(small, large)
	return nil
}

// canShareExtents reports whether equal addresses of the two private files are the same blocks. A
// file that was copied has dirty pages: see extentdiff.Comparer.
func (c *comparison) canShareExtents() bool {
	if c.old.method != Reflink || c.new.method != Reflink {
		return false
	}
	same := false
	err := c.hold(func(old, new int) error {
		a, errOld := sys.Fstat(old)
		b, errNew := sys.Fstat(new)
		same = errOld == nil && errNew == nil && a.Dev == b.Dev && hasStableAddresses(old) &&
			isOnDataDevice(old) && isOnDataDevice(new)
		return nil
	})
	return err == nil && same
}

// hasStableAddresses reports whether the addresses that FIEMAP reports identify blocks of the
// filesystem.
func hasStableAddresses(fd int) bool {
	magic, err := sys.FSType(fd)
	return err == nil && (magic == syscalls.XFS || magic == syscalls.Btrfs)
}

// isOnDataDevice reports whether the data is not on the realtime device of an XFS, which has addresses
// of its own.
func isOnDataDevice(fd int) bool {
	realtime, err := sys.IsRealtime(fd)
	return err == nil && !realtime
}

// hold calls f with the descriptors of both private files, which stay open until f returns.
func (c *comparison) hold(f func(old, new int) error) error {
	return c.old.hold(func(old int) error {
		return c.new.hold(func(new int) error { return f(old, new) })
	})
}

// hold calls f with the descriptor of the private file, which stays open until f returns.
func (m *Mmap) hold(f func(fd int) error) error {
	called := false
	err := m.region.Use(func(fd int, _ []byte) error {
		called = true
		return f(fd)
	})
	if !called { // m is closed
		return pathError("changed", m.name, err)
	}
	return err
}

// compareExtents compares the first size bytes by their addresses, and returns where it ended: before
// size if the kernel refuses FIEMAP.
func (c *comparison) compareExtents(size int64) (int64, error) {
	for e := extentdiff.NewComparer(size); !e.Done(); {
		if err := c.check(); err != nil {
			return 0, err
		}
		at := e.Offset()
		var parts []extentdiff.Part
		err := c.hold(func(old, new int) (err error) {
			parts, err = e.Next(old, new)
			return pathError("changed", c.new.name, err)
		})
		if errors.Is(err, errors.ErrUnsupported) {
			return at, nil
		}
		if err != nil {
			return 0, err
		}
		for _, p := range parts {
			switch p.Verdict {
			case extentdiff.MayDiffer:
				c.report(p.Off, p.End)
			case extentdiff.Undecided:
				if err := c.compareContents(p.Off, p.End); err != nil {
					return 0, err
				}
			}
		}
	}
	return size, nil
}

const (
	comparedPage  = 4 << 10
	comparedChunk = 256 << 10
)

// compareContents compares a range of both by pages, leaving out what is a hole in both.
func (c *comparison) compareContents(off, end int64) error {
	for off < end && !c.stopped {
		if err := c.check(); err != nil {
			return err
		}
		data, err := c.nextData(off)
		if err != nil {
			return err
		}
		off = max(off, min(end, data)&^(comparedPage-1))
		if data >= end {
			return nil
		}
		next := min(end, (off+comparedChunk)&^(comparedPage-1))
		if err := c.compareChunk(off, next); err != nil {
			return err
		}
		off = next
	}
	return nil
}

// nextData returns the first offset from off on where one of the two has data.
func (c *comparison) nextData(off int64) (int64, error) {
	next := max(c.old.size(), c.new.size())
	for _, m := range []*Mmap{c.old, c.new} {
		switch data, err := m.seek(off, mapped.SeekData); {
		case err == nil:
			next = min(next, data)
		case errors.Is(err, errors.ErrUnsupported):
			return off, nil // all may be data
		case !errors.Is(err, syscall.ENXIO):
			return 0, err
		}
	}
	return next, nil
}

// compareChunk compares a range of at most comparedChunk bytes.
func (c *comparison) compareChunk(off, end int64) error {
	for i, m := range []*Mmap{c.old, c.new} {
		if c.buffers[i] == nil {
			c.buffers[i] = make([]byte, comparedChunk)
		}
		if _, err := m.readAt(c.buffers[i][:end-off], off); err != nil {
			return err
		}
	}
	a, b := c.buffers[0][:end-off], c.buffers[1][:end-off]
	if bytes.Equal(a, b) {
		return nil
	}
	for page := off; page < end; {
		next := min(end, (page+comparedPage)&^(comparedPage-1))
		if !bytes.Equal(a[page-off:next-off], b[page-off:next-off]) {
			c.report(page, next)
		}
		page = next
	}
	return nil
}

// errStopped ends a comparison whose consumer wants no more.
var errStopped = errors.New("stopped")

// check returns an error if the comparison is to end.
func (c *comparison) check() error {
	if c.stopped {
		return errStopped
	}
	for _, m := range []*Mmap{c.old, c.new} {
		if m.closed.Load() {
			return pathError("changed", m.name, fs.ErrClosed)
		}
	}
	return pathError("changed", c.new.name, c.ctx.Err())
}

// report yields a range, or keeps it until it is known where it ends.
func (c *comparison) report(off, end int64) {
	switch {
	case c.stopped || off == end:
		return
	case c.pending.Len > 0 && c.pending.Off+c.pending.Len == off:
		c.pending.Len = end - c.pending.Off
		return
	}
	if c.flush() {
		c.pending = Range{off, end - off}
	}
}

// flush yields the pending range, and reports whether the consumer wants more.
func (c *comparison) flush() bool {
	if c.pending.Len > 0 && !c.stopped {
		c.stopped = !c.yield(c.pending, nil)
		c.pending = Range{}
	}
	return !c.stopped
}
