package mapped

import (
	"cmp"
	"errors"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

const (
	// viewPrefault is how much of its slice View reads into memory before it calls f.
	viewPrefault = 128 << 10

	// prefetchStep is how much Prefetch asks for in one system call, which holds off changes to
	// the address space of the whole program.
	prefetchStep = 4 << 20
)

// TryRead is the short way of ReadAt: it makes no system call and checks the range itself. It
// reports false if p could not be filled, and then p holds anything.
//
// It repeats what has and tryCopy do, because the compiler inlines neither, and each call takes a
// tenth of the time of a short read.
func (r *Region) TryRead(p []byte, off int64) (done bool) {
	m, set := r.mem.Load(), r.resident.first.Load()
	if m == nil || len(p) == 0 || off < 0 || int64(len(p)) > min(r.size.Load(), int64(len(m.mem)))-off {
		return false
	}
	if r.writeback.failed.Load() != nil {
		return false
	}
	first, last := uint64(off)>>pageShift, (uint64(off)+uint64(len(p))-1)>>pageShift
	if word := first / 64; word != last/64 || set == nil || word >= uint64(len(*set)) {
		if !r.resident.has(off, len(p)) {
			return false
		}
	} else if !hasBits((*set)[word].Load(), first, last) {
		return false
	}
	src := m.mem[off:]
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if !done { // recover takes as long as half of the rest
			_ = recover() // a fault, as in tryCopy
		}
	}()
	copy(p, src)
	runtime.KeepAlive(m)
	return true
}

// ReadAt fills p with the bytes from off on. Pages that are not known to be resident it reads by
// pread(2), and also pages that fault: pread has the errno. It maps the file if TryRead could read
// p then. Contents in memory it copies, and maps nothing.
func (r *Region) ReadAt(p []byte, off int64) (int, error) {
	if r.file == nil {
		return r.readContents(p, off)
	}
	if r.resident.has(off, len(p)) {
		if _, err := r.memory(off+int64(len(p)), false); err == nil && r.TryRead(p, off) {
			return len(p), nil
		}
	}
	n, err := r.file.ReadAt(p, off)
	if err != nil {
		return n, UnwrapPathError(err)
	}
	if err := r.checkLost(); err != nil {
		return 0, err
	}
	r.markResident(off, n)
	return n, nil
}

// readContents is ReadAt of contents in memory. If p faults, the error is EFAULT, as of pread(2).
func (r *Region) readContents(p []byte, off int64) (n int, err error) {
	old := debug.SetPanicOnFault(true)
	err = syscall.EFAULT
	defer func() {
		debug.SetPanicOnFault(old)
		if err != nil {
			_ = recover()
		}
	}()
	return copy(p, r.contents[off:]), nil
}

// WriteAt writes p at off, within the size. The caller keeps Close from being called.
func (r *Region) WriteAt(p []byte, off int64) (int, error) {
	if r.dirty.has(off, len(p)) {
		if m, err := r.memory(off+int64(len(p)), false); err == nil && m.tryCopy(m.mem[off:], p) {
			return len(p), nil
		}
	}
	return r.Pwrite(p, off)
}

// Pwrite writes p at off by pwrite(2), which can make the file longer. If it fails, n bytes were
// written: an os.File does not count what it wrote before an error. The caller keeps Close from
// being called.
func (r *Region) Pwrite(p []byte, off int64) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = sys.Pwrite(r.FD(), p[n:], off+int64(n))
		if k == 0 && err == nil {
			err = io.ErrShortWrite
		}
		n += max(k, 0)
	}
	r.dirty.add(off, n)
	r.markResident(off, n)
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		err = e.Err // "write f: pwrite: …" would say it twice
	}
	return n, err
}

// View calls f with the n bytes from off on, n > 0, and returns its error as ferr. If f faults,
// fault is the offset in the region, else -1. With err f was not called, or may have used pages
// that are lost.
func (r *Region) View(off, n int64, f func(b []byte) error) (fault int64, ferr, err error) {
	m, err := r.acquire(off + n)
	if err != nil {
		return -1, nil, err
	}
	defer m.release()
	if !m.viewed.Load() {
		m.viewed.Store(true)
	}
	if err := r.Lost(); err != nil {
		return -1, nil, err
	}
	if first := min(n, viewPrefault); !r.Resident(off, first) && populate(m.mem, off, first) == nil {
		if err := r.checkLost(); err != nil {
			return -1, nil, err
		}
		r.markResident(off, int(first))
	}
	resident := r.resident.has(off, int(n))
	at, ferr := m.call(f, m.mem[off:off+n:off+n])
	if !resident {
		if err := r.checkLost(); err != nil { // f may have used pages that are lost
			return -1, nil, err
		}
	}
	return int64(at), ferr, nil
}

// Bytes returns the memory itself. It is nil if the size is 0, the file cannot be mapped, or pages
// are lost.
func (r *Region) Bytes() []byte {
	size := r.Size()
	if size == 0 || r.checkLost() != nil {
		return nil
	}
	m, err := r.acquire(size)
	if err != nil {
		return nil
	}
	defer m.release()
	m.escaped.Store(true)
	return m.mem[:size:size]
}

// Prefetch reads n bytes from off on into memory. Pages not known to be resident are read with
// pread first, because the kernel reads ahead for pread; MADV_POPULATE_READ reads only 128 KiB at a
// time.
func (r *Region) Prefetch(off, n int64) error {
	if r.file == nil {
		return nil
	}
	m, err := r.acquire(off + n)
	if err != nil {
		return err
	}
	defer m.release()
	for end := off + n; off < end; off += prefetchStep {
		step := min(prefetchStep, end-off)
		if r.resident.has(off, int(step)) && populate(m.mem, off, step) == nil {
			continue
		}
		if err := r.read(off, step); err != nil {
			return err
		}
		_ = populate(m.mem, off, step) // so that touching it is no fault
		r.markResident(off, int(step))
	}
	return r.checkLost()
}

// The whence values of lseek(2) that look for data and holes on Linux.
const (
	SeekData = 3
	SeekHole = 4
)

// Seek returns the next offset at off or later where data or, with SeekHole, a hole begins.
func (r *Region) Seek(off int64, whence int) (int64, error) {
	if r.file == nil {
		if whence == SeekData {
			return off, nil
		}
		return r.Size(), nil
	}
	at, err := r.file.Seek(off, whence)
	if lost := r.checkLost(); lost != nil { // lost pages can be a hole by now
		return 0, lost
	}
	return at, UnwrapPathError(err)
}

// Resident reports whether n bytes from off on are known to be in memory.
func (r *Region) Resident(off, n int64) bool {
	return r.Lost() == nil && (n == 0 || r.file == nil || r.resident.has(off, int(n)))
}

// ReadError returns why the page at off could not be had for reading, EFAULT if it can be had now.
func (r *Region) ReadError(off int64) error {
	if r.file == nil {
		return syscall.EFAULT
	}
	if err := r.read(off, 1); err != nil {
		return err
	}
	return syscall.EFAULT
}

// StoreError returns why the page at off could not be had for a store. It is EFAULT if the page can
// be had now, and where the filesystem has no call that tells. It stores nothing, because another
// goroutine may have stored into the page. The caller keeps the size from changing, and Close from
// being called.
func (r *Region) StoreError(off int64) error {
	if err := r.ReadError(off); !errors.Is(err, syscall.EFAULT) {
		return err
	}
	defer runtime.KeepAlive(r)
	page := int64(os.Getpagesize())
	err := r.allocate(off&^(page-1), page)
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS} {
		if errors.Is(err, errno) {
			return errno
		}
	}
	return syscall.EFAULT
}

// allocate asks the filesystem for blocks for n bytes at off, as a store would: of a hole, and
// where blocks are shared, which XFS replaces on request. btrfs does not, and tells whether there
// are blocks at all only where there are none yet: behind the end.
func (r *Region) allocate(off, n int64) error {
	fd := r.FD()
	err := sys.Allocate(fd, off, n, true)
	if errors.Is(err, errors.ErrUnsupported) {
		err = sys.Allocate(fd, off, n, false)
	}
	if err != nil {
		return err
	}
	st, err := sys.Fstat(fd)
	if err != nil {
		return err
	}
	const block = 64 << 10 // no filesystem has larger ones
	err = sys.Allocate(fd, (st.Size+block-1)&^(block-1), block, false)
	// ext4 keeps what it has allocated before it finds no more.
	return cmp.Or(err, sys.Ftruncate(fd, st.Size))
}

// scratch holds buffers for data that are read only to have them in memory.
var scratch = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// read reads a range by system calls and forgets it. It has the true errno: that of populate is
// always EFAULT, or EINVAL before Linux 5.14.
func (r *Region) read(off, n int64) error {
	buf := scratch.Get().(*[128 << 10]byte)
	defer scratch.Put(buf)
	for end := off + n; off < end; off += int64(len(buf)) {
		if _, err := r.file.ReadAt(buf[:min(int64(len(buf)), end-off)], off); err != nil && err != io.EOF {
			return UnwrapPathError(err)
		}
	}
	return nil
}

// populate reads pages into memory by a system call, which lets the scheduler go on and returns
// an error where touching them would fault.
func populate(mem []byte, off, n int64) error {
	page := int64(os.Getpagesize())
	start := off &^ (page - 1)
	return sys.Populate(mem[start:off+n], false)
}
