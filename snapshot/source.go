package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/lease"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A source is what Mmap and MmapMut have in common: the private copy, and what is remembered of the
// file it was made of. Constant after creation, but for closed.
type source struct {
	name    string // as it was given
	stat    syscalls.Stat
	method  Method
	settled bool
	where   string          // where the private copy lies, and why
	region  *mapped.Region  // the private copy; with leased, it has nothing but the size
	leased  *lease.Snapshot // the file itself, or nil
	closed  atomic.Bool
}

// init takes the private copy over. If it fails, it has closed it.
func (s *source) init(p privatefile.File, name string, stat syscalls.Stat, writable bool) (err error) {
	s.name, s.stat, s.method, s.settled = name, stat, Method(p.Method), p.Settled
	s.where = p.Where
	if p.FD < 0 {
		s.region = mapped.NewInMemory(p.Contents)
		return nil
	}
	s.region, err = mapped.New(os.NewFile(uintptr(p.FD), name), p.Size, p.Owner, writable, s.method == Reflink)
	return err
}

// current returns the region that is read at the moment. A read of it proves nothing.
func (s *source) current() *mapped.Region {
	if s.leased != nil {
		return s.leased.Region()
	}
	return s.region
}

// read calls use with the region to read from, again if what it has read is not proven.
func (s *source) read(use func(r *mapped.Region) error) error {
	if s.leased != nil {
		return s.leased.Do(use)
	}
	return use(s.region)
}

// readRegion is [mapped.Region.ReadAt] of the private copy, or of the file itself.
func (s *source) readRegion(p []byte, off int64) (n int, err error) {
	if s.leased == nil {
		return s.region.ReadAt(p, off)
	}
	err = s.leased.Do(func(r *mapped.Region) (err error) {
		n, err = r.ReadAt(p, off)
		return err
	})
	return n, err
}

// private returns the region of the private copy. It makes the copy if there is none.
func (s *source) private() (*mapped.Region, error) {
	if s.leased == nil {
		return s.region, nil
	}
	return s.leased.Private()
}

func (s *source) size() int64 { return s.region.Size() }

func (s *source) info() (fs.FileInfo, error) {
	if s.closed.Load() {
		return nil, pathError("stat", s.name, fs.ErrClosed)
	}
	return fileInfo{filepath.Base(s.name), s.size(), s.stat}, nil
}

func (s *source) isResident(off, n int64) bool {
	n, err := s.checkRange("resident", off, n)
	return err == nil && s.current().Resident(off, n)
}

func (s *source) readAt(p []byte, off int64) (int, error) {
	if s.leased != nil {
		if s.leased.TryRead(p, off) {
			return len(p), nil
		}
	} else if s.region.TryRead(p, off) {
		return len(p), nil
	}
	return s.readAtSlowly(p, off)
}

func (s *source) readAtSlowly(p []byte, off int64) (int, error) {
	if s.closed.Load() {
		return 0, pathError("read", s.name, fs.ErrClosed)
	}
	n, err := clip(len(p), off, s.region.Size())
	if n > 0 {
		k, rerr := s.readRegion(p[:n], off)
		if rerr != nil {
			n, err = k, destinationFault(p[k:n], rerr)
		}
	}
	if err != nil {
		return n, readError(s.name, err)
	}
	return n, nil
}

// view calls f with a range. cause is asked why the page at an offset could not be had if f faults.
func (s *source) view(off, n int64, f func(b []byte) error, cause func(off int64) error) error {
	n, err := s.checkRange("view", off, n)
	if err != nil {
		return err
	}
	if n == 0 {
		return f(nil)
	}
	return s.viewRegion(s.region, off, n, f, cause)
}

// viewRegion is view of a range that was checked, n > 0.
func (s *source) viewRegion(
	r *mapped.Region, off, n int64, f func(b []byte) error, cause func(off int64) error,
) error {
	fault, ferr, err := r.View(off, n, f)
	if fault >= 0 {
		err = cause(fault)
	}
	if err != nil {
		return pathError("view", s.name, err)
	}
	return ferr
}

func (s *source) prefetch(off, n int64) error {
	n, err := s.checkRange("prefetch", off, n)
	if err != nil || n == 0 {
		return err
	}
	err = s.read(func(r *mapped.Region) error { return r.Prefetch(off, n) })
	return pathError("prefetch", s.name, err)
}

// checkRange checks that the snapshot is open and that n bytes from off on, or all from off on if n is
// negative, lie within the size, and returns how many they are.
func (s *source) checkRange(op string, off, n int64) (int64, error) {
	if s.closed.Load() {
		return 0, pathError(op, s.name, fs.ErrClosed)
	}
	size := s.region.Size()
	if off < 0 || off > size || n > size-off {
		return 0, pathError(op, s.name, fmt.Errorf("%d bytes at offset %d are not within the size of %d: %w",
			n, off, size, fs.ErrInvalid))
	}
	if n < 0 {
		n = size - off
	}
	return n, nil
}

var errNegativeOffset = errors.New("negative offset") // as package os has it

// clip returns how many of n bytes from off on lie within size, and io.EOF if not all do.
func clip(n int, off, size int64) (int, error) {
	if off < 0 {
		return 0, errNegativeOffset
	}
	if n == 0 {
		return 0, nil
	}
	if off >= size {
		return 0, io.EOF
	}
	if left := size - off; int64(n) > left {
		return int(left), io.EOF
	}
	return n, nil
}

// readError wraps an error of reading as package os does.
func readError(name string, err error) error {
	switch err {
	case io.EOF: //nolint:errorlint // clip and os.File return exact values
		return err
	case errNegativeOffset:
		return pathError("readat", name, err)
	}
	return pathError("read", name, err)
}

// fileInfo is an fs.FileInfo.
type fileInfo struct {
	name string
	size int64
	stat syscalls.Stat
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) Mode() fs.FileMode  { return i.stat.Mode }
func (i fileInfo) ModTime() time.Time { return i.stat.Mtime }
func (i fileInfo) IsDir() bool        { return false }
func (i fileInfo) Sys() any           { return i.stat.Sys }
