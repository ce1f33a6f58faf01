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

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A source is what Mmap and MmapMut have in common: the private copy, and what is remembered of the
// file it was made of. Constant after creation, but for closed.
type source struct {
	name   string // as it was given
	stat   syscalls.Stat
	method Method
	region *mapped.Region // the private copy

	writeback writebackState
	closed    atomic.Bool
}

// init takes the private copy over. If it fails, it has closed it.
func (s *source) init(p privatefile.File, name string, stat syscalls.Stat, writable bool) (err error) {
	s.name, s.stat, s.method = name, stat, Method(p.Method)
	s.writeback.dirty = writable || s.method != Reflink
	s.region, err = mapped.New(os.NewFile(uintptr(p.FD), name), p.Size, p.Owner, writable)
	return err
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
	return err == nil && !s.writeback.lost() && s.region.Resident(off, n)
}

func (s *source) readAt(p []byte, off int64) (int, error) {
	if s.region.TryRead(p, off) && !s.writeback.lost() {
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
		k, rerr := s.region.ReadAt(p[:n], off)
		if lerr := s.checkLost(); lerr != nil {
			k, rerr = 0, lerr
		}
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
	cold := !s.isResident(off, n)
	if cold {
		if err := s.checkLost(); err != nil {
			return pathError("view", s.name, err)
		}
	}
	fault, ferr, err := s.region.View(off, n, f)
	if cold {
		if lerr := s.checkLost(); lerr != nil { // f may have used pages that are lost
			fault, err = -1, lerr
		}
	}
	if fault >= 0 {
		err = cause(fault)
	}
	if err != nil {
		return pathError("view", s.name, err)
	}
	return ferr
}

// checkLostEvery is how long checkLost relies on what it asked last. A system call for each cold
// read of a page would take as long as the read.
const checkLostEvery = time.Millisecond

// started is the zero of writebackState.asked, long ago for a snapshot that never asked.
var started = time.Now().Add(-time.Hour)

// checkLost returns an error if pages of the private file may be lost. If it returns nil, pages that
// were read before are right, except for those that were lost in the last checkLostEvery.
func (s *source) checkLost() error {
	w := &s.writeback
	if !w.dirty {
		return nil
	}
	if w.lost() {
		return w.known()
	}
	now := int64(time.Since(started))
	if now-w.asked.Load() < int64(checkLostEvery) {
		return nil
	}
	return lostError(w.ask(func() error {
		if s.closed.Load() { // the descriptor can be another file's
			return nil
		}
		w.asked.Store(now)
		return sys.WritebackFailed(s.region.FD())
	}))
}

func (s *source) prefetch(off, n int64) error {
	n, err := s.checkRange("prefetch", off, n)
	if err != nil || n == 0 {
		return err
	}
	err = s.region.Prefetch(off, n)
	if lerr := s.checkLost(); lerr != nil {
		err = lerr
	}
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
