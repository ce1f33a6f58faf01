package extentdiff

import (
	"fmt"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A Verdict says whether a part of two files has the same contents.
type Verdict int

const (
	Same      Verdict = iota // the contents are the same
	MayDiffer                // the contents can be the same or not
	Undecided                // the addresses are equal, but prove nothing: see opaque
)

// A Part is a part of both files, from Off to End.
type Part struct {
	Off, End int64
	Verdict  Verdict
}

// windowExtents is the number of extents that one call asks for.
const windowExtents = 4096

// A Comparer compares an old and a new file on one filesystem, window by window. Until Next returns,
// both files exist and do not change: the filesystem reuses the blocks of a removed file.
//
// Both files are reflinks. Of a file that was written, the kernel can have lost dirty pages that
// another caller was told about: then the file has its old addresses, while the page cache has the
// new contents.
type Comparer struct {
	size    int64
	at      int64
	buffers [3][]syscalls.Extent
}

// NewComparer returns a Comparer of the first size bytes of two files.
func NewComparer(size int64) *Comparer {
	c := &Comparer{size: size}
	for i := range c.buffers {
		c.buffers[i] = make([]syscalls.Extent, windowExtents)
	}
	return c
}

// Done reports whether all of the files was compared.
func (c *Comparer) Done() bool { return c.at >= c.size }

// Offset returns where the next window begins.
func (c *Comparer) Offset() int64 { return c.at }

// Next compares a window, and returns its parts in order, without gaps. Parts that follow each other
// have different verdicts. A window ends where one of the buffers does.
//
// The old file is read before and after the new one. A filesystem can move an extent (btrfs balance,
// defragmentation, deduplication): between two readings, an extent of the old file could move away
// and one of the new file could move to its former address. An address that the old file has at both
// times is the address of the same data all the while.
func (c *Comparer) Next(old, new int) ([]Part, error) {
	begin, end := c.at, c.size
	var maps [3]cursor
	for i, fd := range []int{old, new, old} {
		n, err := sys.Fiemap(fd, begin, end-begin, true, c.buffers[i])
		if err != nil {
			return nil, err
		}
		extents := c.buffers[i][:n]
		if n == len(c.buffers[i]) {
			end = min(end, int64(extents[n-1].Logical+extents[n-1].Length))
		}
		if end <= begin {
			return nil, fmt.Errorf("fs_ioc_fiemap: no extent behind offset %d: %w", begin, syscall.EIO)
		}
		maps[i] = cursor{extents}
	}
	c.at = end
	return compare(&maps, begin, end), nil
}

// compare compares three maps of extents from begin to end: of the old file, of the new one, and of
// the old one again.
func compare(maps *[3]cursor, begin, end int64) (parts []Part) {
	for off := begin; off < end; {
		a, b, again := maps[0].at(off, end), maps[1].at(off, end), maps[2].at(off, end)
		p := Part{off, min(a.end, b.end, again.end), MayDiffer}
		if a.kind == b.kind && b.kind == again.kind &&
			a.address == b.address && b.address == again.address {
			p.Verdict = Same
			if a.kind == opaque {
				p.Verdict = Undecided
			}
		}
		if n := len(parts); n > 0 && parts[n-1].Verdict == p.Verdict {
			parts[n-1].End = p.End
		} else {
			parts = append(parts, p)
		}
		off = p.End
	}
	return parts
}

// A kind says what the address of an extent tells about the contents.
type kind int

const (
	hole   kind = iota // the contents are zeros
	plain              // the contents are the blocks at the address
	opaque             // the address proves nothing
)

// A place is where the contents of a file are stored from an offset to end. address is that of the
// offset if kind is plain, and that of the whole extent if kind is opaque.
type place struct {
	kind    kind
	address uint64
	end     int64
}

// A cursor looks up places at offsets that do not decrease.
type cursor struct {
	extents []syscalls.Extent // in the order of their offsets
}

// plainFlags are the flags that an extent can have whose address tells its contents.
const plainFlags = syscalls.ExtentLast | syscalls.ExtentMerged | syscalls.ExtentShared

// at returns the place at off, at most to end.
func (c *cursor) at(off, end int64) place {
	for len(c.extents) > 0 && int64(c.extents[0].Logical+c.extents[0].Length) <= off {
		c.extents = c.extents[1:]
	}
	if len(c.extents) == 0 {
		return place{hole, 0, end}
	}
	e := &c.extents[0]
	if int64(e.Logical) > off {
		return place{hole, 0, min(end, int64(e.Logical))}
	}
	end = min(end, int64(e.Logical+e.Length))
	switch flags := e.Flags &^ plainFlags; {
	case flags == 0 && e.Physical != 0:
		return place{plain, e.Physical + uint64(off) - e.Logical, end}
	case flags == syscalls.ExtentUnwritten:
		return place{hole, 0, end}
	}
	// An extent that has no address yet, that is stored with the metadata or that is compressed. btrfs
	// reports for a compressed extent the address of its first block, whichever part of it a file uses,
	// and the length of its contents, which is not the length on the disk.
	return place{opaque, e.Physical, end}
}
