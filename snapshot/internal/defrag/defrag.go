package defrag

import (
	"context"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// Every page that is stored to between two commits becomes an extent of its own, and the time
// of a clone grows with the number of extents: with a hundred random pages a commit, a file of
// 64 MiB took four to five times as long to commit after some hundred commits. So commits put
// the private file in order again, one window after the other: the window is copied to a file
// where it is contiguous, and the private file is made to share that (FIDEDUPERANGE). The
// kernel compares the two under its locks, so that stores made meanwhile are not lost; inode,
// addresses and contents stay as they are.
//
// A commit spends as much on that as its own clone cost for being fragmented, so that it at
// most about doubles its time and no single one is slow. Costs are counted in extents cloned,
// of which some 1 600 take as long as one window (XFS: 10 µs and 16 ms); the number of extents
// settles where as many are joined as are made.
const (
	window     = 8 << 20
	windowCost = 1600

	// fewExtents is how many in a window are not worth joining.
	fewExtents = 16

	// minShare is the smallest range that is tried again when a store got in between.
	minShare = 128 << 10
)

// State is what is remembered of a private file from commit to commit.
type State struct {
	Cloned bool  // the last copy of the private file was a reflink: else extents cost nothing
	fewest int   // extents of the file at its best
	budget int   // what may be spent, in extents cloned
	next   int64 // where the next window begins
}

// Run is called after each copy of the private file fd was made. It is of use, never needed:
// whatever fails in it is left as it is. dir is a directory of the file's filesystem.
func (s *State) Run(ctx context.Context, o privatefile.Options, fd, dir int, size int64) {
	if !s.Cloned {
		return
	}
	n, err := sys.CountExtents(fd, 0, size)
	if err != nil {
		return
	}
	if s.fewest == 0 || n < s.fewest {
		s.fewest = n
	}
	s.budget = min(s.budget+n-s.fewest, n+windowCost)
	for tried := int64(0); tried < size && s.budget >= windowCost; tried += window {
		if ctx.Err() != nil {
			return
		}
		if s.next >= size {
			s.next = 0
		}
		length := min(window, size-s.next)
		if n, err := sys.CountExtents(fd, s.next, length); err == nil && n > fewExtents {
			s.budget -= windowCost
			_ = join(o, fd, dir, s.next, length)
		}
		s.next += length
	}
}

// join makes n bytes at off of the private file fd contiguous.
func join(o privatefile.Options, fd, dir int, off, n int64) error {
	u, err := o.Create(dir, 0, 0, false)
	if err != nil {
		return err
	}
	joined := u.FD
	defer syscalls.Close(joined)
	if err := sys.Ftruncate(joined, off+n); err != nil {
		return err
	}
	// Not by copy_file_range, which would share the extents that there are.
	buf := make([]byte, 1<<20)
	for at := off; at < off+n; {
		start, end, err := privatefile.NextData(fd, at, off+n)
		if err != nil {
			return err
		}
		for at = start; at < end; {
			p := buf[:min(int64(len(buf)), end-at)]
			r, err := sys.Pread(fd, p, at)
			if err != nil || r == 0 {
				return err
			}
			if _, err := sys.Pwrite(joined, p[:r], at); err != nil {
				return err
			}
			at += int64(r)
		}
		at = max(at, end)
	}
	share(fd, joined, off, n)
	return nil
}

// All joins the extents of every window of the private file fd, whatever it costs.
func All(o privatefile.Options, fd, dir int, size int64) error {
	for off := int64(0); off < size; off += window {
		if err := join(o, fd, dir, off, min(window, size-off)); err != nil {
			return err
		}
	}
	return nil
}

// share lets the private file fd share a range of the file joined where the contents are the same.
func share(fd, joined int, off, n int64) {
	shared, err := sys.DedupeRange(fd, joined, off, int(n))
	if err != nil || int64(shared) == n {
		return
	}
	if shared > 0 { // a limit per call
		share(fd, joined, off+int64(shared), n-int64(shared))
		return
	}
	if n > minShare {
		half := (n / 2) &^ (minShare - 1)
		if half == 0 {
			half = minShare
		}
		share(fd, joined, off, half)
		share(fd, joined, off+half, n-half)
	}
}
