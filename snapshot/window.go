package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

const (
	// viewPrefault is how much of its slice View reads into memory before it calls f.
	viewPrefault = 128 << 10

	// prefetchStep is how much Prefetch asks for in one system call, which holds off changes to
	// the address space of the whole program.
	prefetchStep = 4 << 20
)

var errNegativeOffset = errors.New("negative offset") // as package os has it

// within returns how many of n bytes from off on lie within size, and io.EOF if not all do.
func within(n int, off, size int64) (int, error) {
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

// readAt is os.File's, of a snapshot of size bytes. What is not known to be in memory is read by a
// system call, and so is what could not be had from the mapping: that tells why.
func (s *source) readAt(mp *mapped.Mapping, p []byte, off, size int64) (int, error) {
	n, err := within(len(p), off, size)
	if n > 0 && !(mp.Resident.Has(off, n) && mp.Copy(p[:n], mp.Mem[off:])) {
		var rerr error
		if n, rerr = s.pread(mp, p[:n], off); rerr != nil {
			err = rerr
		}
	}
	if err != nil {
		return n, readError(s.name, err)
	}
	return n, nil
}

// readError wraps an error of reading as package os does.
func readError(name string, err error) error {
	switch err {
	case io.EOF: //nolint:errorlint // within and os.File return exact values
		return err
	case errNegativeOffset:
		return pathError("readat", name, err)
	}
	return pathError("read", name, err)
}

// span checks that n bytes from off on, or all from off on if n is negative, lie within size,
// and returns how many they are.
func (s *source) span(op string, off, n, size int64) (int64, error) {
	if off < 0 || off > size || n > size-off {
		return 0, pathError(op, s.name, fmt.Errorf("%d bytes at offset %d are not within the size of %d: %w",
			n, off, size, fs.ErrInvalid))
	}
	if n < 0 {
		n = size - off
	}
	return n, nil
}

// view calls f with a part of mp, on which the caller has a reference, and gives the reference
// back. cause is asked for the error if f faults.
func (s *source) view(mp *mapped.Mapping, off, n int64, f func(b []byte) error, cause func(off int64) error) error {
	defer mp.Release()
	if !mp.Viewed.Load() {
		mp.Viewed.Store(true)
	}
	if first := min(n, viewPrefault); !mp.Resident.Has(off, int(first)) && populate(mp.Mem, off, first) == nil {
		mp.MarkResident(off, int(first))
	}
	fault, err := mp.Call(f, mp.Mem[off:off+n:off+n])
	if fault >= 0 {
		return pathError("view", s.name, cause(int64(fault)))
	}
	return err
}

// prefetch reads a part of mp, on which the caller has a reference, into memory, and gives the
// reference back. What is not known to be there is read by read(2) first, for which the kernel
// reads ahead: for populate it reads 128 KiB at a time, and waits for them before it asks for
// more.
func (s *source) prefetch(mp *mapped.Mapping, off, n int64) error {
	defer mp.Release()
	for end := off + n; off < end; off += prefetchStep {
		step := min(prefetchStep, end-off)
		if mp.Resident.Has(off, int(step)) && populate(mp.Mem, off, step) == nil {
			continue
		}
		if err := s.read(off, step); err != nil {
			return pathError("prefetch", s.name, err)
		}
		_ = populate(mp.Mem, off, step) // so that touching it is no fault
		mp.MarkResident(off, int(step))
	}
	return nil
}

// known reports whether a part of mp is known to be in memory.
func (s *source) known(mp *mapped.Mapping, off, n int64) bool {
	return n == 0 || mp.Resident.Has(off, int(n))
}

// pread reads from the private file by system calls, which let the scheduler go on and return
// the true errno and the true count. What it read is in memory from then on.
func (s *source) pread(mp *mapped.Mapping, p []byte, off int64) (int, error) {
	n, err := s.file.ReadAt(p, off)
	if err != nil {
		return n, bare(err)
	}
	mp.MarkResident(off, n)
	return n, nil
}

// pwrite is pread's counterpart. An os.File forgets what it has written before an error: then
// pages are written one by one, to learn the true count.
func (s *source) pwrite(mp *mapped.Mapping, p []byte, off int64) (int, error) {
	n, err := s.file.WriteAt(p, off)
	if page := os.Getpagesize(); err != nil && len(p) > page {
		n, err = 0, nil
		for n < len(p) && err == nil {
			step := min(len(p)-n, page-int((off+int64(n))%int64(page)))
			if _, err = s.file.WriteAt(p[n:n+step], off+int64(n)); err == nil {
				n += step
			}
		}
	}
	if err != nil {
		return n, bare(err)
	}
	mp.MarkDirty(off, n)
	return n, nil
}

// populate reads pages into memory by a system call, which lets the scheduler go on and returns
// an error where touching them would fault.
func populate(mem []byte, off, n int64) error {
	page := int64(os.Getpagesize())
	start := off &^ (page - 1)
	return sys.Populate(mem[start:off+n], false)
}

// scratch holds buffers for what is read only to have it in memory.
var scratch = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// read reads a range by system calls and forgets it. It has the true errno: that of populate is
// always EFAULT, or EINVAL before Linux 5.14.
func (s *source) read(off, n int64) error {
	buf := scratch.Get().(*[128 << 10]byte)
	defer scratch.Put(buf)
	for end := off + n; off < end; off += int64(len(buf)) {
		if _, err := s.file.ReadAt(buf[:min(int64(len(buf)), end-off)], off); err != nil && err != io.EOF {
			return bare(err)
		}
	}
	return nil
}

// cause returns why a page could not be had for reading.
func (s *source) cause(off int64) error {
	if err := s.read(off, 1); err != nil {
		return err
	}
	return syscall.EFAULT
}
