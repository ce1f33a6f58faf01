package mapped

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"weak"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// maxSlack is how much more than needed is mapped at most when a region grows. It costs addresses,
// no memory. On 32 bits it is 32 MiB.
const maxSlack = int64(min(1<<30, math.MaxInt>>6))

// A Region is a private file and the memory that it is mapped to, or contents in Go memory and a
// copy of them that slices can be lent of. The memory is mapped when a method first needs it. All
// methods may be called at the same time, with the exceptions that they state. No method checks a
// range: the caller has compared it with Size.
type Region struct {
	file     *os.File // it counts its users, so that no read meets a reused descriptor number
	contents []byte   // if file is nil
	owner    uint32   // of the file
	writable bool

	size atomic.Int64

	// resident: pages known to be in the page cache. dirty: pages written since the last
	// writeback; a store to a clean page may wait for the disk. Pages in a set are accessed
	// through the mapping, others by system calls.
	resident, dirty PageSet
	writeback       writeback
	registered      atomic.Bool  // the sweeper knows the region
	refused         atomic.Int64 // when memory could not be mapped last: nanoseconds since started

	mu        sync.Mutex // held while mem is replaced or protected; guards what follows
	closed    bool
	protected bool                    // the memory is inaccessible, and none is mapped
	mem       atomic.Pointer[mapping] // nil until it is needed; the last part may lie behind the file
}

// New returns a region of the first size bytes of a file that uid owns, which is the region's from
// then on. If clean is true, the file has no dirty pages. If New fails, because Reserve does, it
// has closed the file.
func New(file *os.File, size int64, uid uint32, writable, clean bool) (*Region, error) {
	r := &Region{file: file, owner: uid, writable: writable}
	r.writeback.clean.Store(clean && !writable)
	r.size.Store(size)
	if err := r.Reserve(size); err != nil {
		_ = file.Close()
		return nil, err
	}
	return r, nil
}

// NewInMemory returns a region of contents, which no code changes from then on. It has no file: FD
// is -1, and the methods that write or tell of dirty pages must not be called.
func NewInMemory(contents []byte) *Region {
	r := &Region{contents: contents}
	r.size.Store(int64(len(contents)))
	r.writeback.clean.Store(true)
	return r
}

// Reserve returns an error if size bytes can never be mapped. It maps nothing, and takes what fits
// into the quarantine for possible.
func (r *Region) Reserve(size int64) error {
	switch {
	case size > math.MaxInt:
		return syscall.EFBIG
	case size <= int64(maxBytes):
		return nil
	}
	return space.check(size)
}

// Size returns the size in bytes.
func (r *Region) Size() int64 { return r.size.Load() }

// SetSize changes the size, not that of the file.
func (r *Region) SetSize(size int64) { r.size.Store(size) }

// memory returns a mapping of at least the first end bytes. Only if insist is set does it wait for
// another goroutine that is mapping, and look for addresses in ways that take time if there are
// none.
func (r *Region) memory(end int64, insist bool) (*mapping, error) {
	if m := r.mem.Load(); m != nil && end <= int64(len(m.mem)) {
		return m, nil
	}
	if insist {
		r.mu.Lock()
	} else if time.Since(started)-time.Duration(r.refused.Load()) < retryAfter || !r.mu.TryLock() {
		return nil, errBusy
	}
	defer r.mu.Unlock()
	if r.closed || r.protected {
		return nil, fs.ErrClosed
	}
	old, have := r.mem.Load(), int64(0)
	if old != nil {
		if have = int64(len(old.mem)); end <= have {
			return old, nil
		}
	}
	page := int64(os.Getpagesize())
	length := max(end, r.Size())
	if more := have + min(have, maxSlack); have > 0 && space.canFit(more, have) {
		length = max(length, more)
	}
	if r.writable {
		length = (length + page - 1) &^ (page - 1)
	}
	if length > math.MaxInt || length < 0 {
		return nil, syscall.EFBIG
	}
	mem, err := r.mapMore(old, int(length), insist)
	if err != nil {
		r.refused.Store(int64(time.Since(started)))
		return nil, err
	}
	m := newMapping(mem)
	r.mem.Store(m)
	if old != nil {
		old.release() // a ReadAt that is still inside goes on by a system call
	}
	return m, nil
}

var errBusy = errors.New("another goroutine is mapping, or none could lately")

// started is the zero of Region.refused. Its distance to the start of the program is more than
// retryAfter.
var started = time.Now().Add(-time.Hour)

// mapMore maps length bytes of the file at new addresses, taking the page tables of the old mapping
// along where possible: without that, each page that is in memory is faulted in again, which took
// up to a hundred times longer (btrfs, 256 MiB).
func (r *Region) mapMore(old *mapping, length int, insist bool) ([]byte, error) {
	less := int64(0)
	if old != nil {
		less = int64(len(old.mem)) // it is released soon, unless a View runs
	}
	if old != nil && old.refs.Load() == 1 { // no View runs, which would fault its pages in again
		mremap := func() ([]byte, error) { return sys.MremapDontunmap(old.mem, r.FD(), length) }
		if mem, err := space.take(length, less, mremap); err == nil {
			return mem, nil
		}
	}
	mmap := func() ([]byte, error) { return sys.Mmap(r.FD(), length, r.writable) }
	if r.file == nil {
		mmap = r.mapContents
	}
	if insist {
		return mapInsisting(length, less, mmap)
	}
	return space.take(length, less, mmap)
}

// mapContents maps a copy of the contents that can only be read. Slices of the contents themselves
// would stay readable after Close, and a store into one would change the snapshot.
func (r *Region) mapContents() ([]byte, error) {
	mem, err := sys.MmapAnonymous(len(r.contents))
	if err != nil {
		return nil, err
	}
	copy(mem, r.contents)
	if err := sys.Mprotect(mem, true, false); err != nil {
		_ = sys.Munmap(mem)
		return nil, err
	}
	return mem, nil
}

// FD returns the descriptor of the file, for a caller that keeps Close from being called meanwhile.
func (r *Region) FD() int { return int(r.file.Fd()) }

// Use calls f with the descriptor of the file or, if there is none, with -1 and the contents. If
// Close is called meanwhile, it does not wait, and the file stays open until f returns.
func (r *Region) Use(f func(fd int, contents []byte) error) error {
	if r.file == nil {
		return f(-1, r.contents)
	}
	conn, err := r.file.SyscallConn()
	if err == nil {
		var ferr error
		if err = conn.Control(func(fd uintptr) { ferr = f(int(fd), nil) }); err == nil {
			return ferr
		}
	}
	return fs.ErrClosed // the one error they have
}

// acquire returns a mapping of at least the first end bytes, with a reference on it. A mapping that
// has none any more was replaced by a longer one, or Close was called.
func (r *Region) acquire(end int64) (*mapping, error) {
	for {
		m, err := r.memory(end, true)
		if err != nil {
			return nil, err
		}
		if m.acquire() {
			return m, nil
		}
	}
}

// Written notes that the kernel has written every page to the disk, so that the next store into any
// page takes a system call again.
func (r *Region) Written() { r.dirty.clear() }

// Lost returns an error if it is known that the kernel could not write dirty pages of the file to
// the disk. Then pages may be lost.
func (r *Region) Lost() error { return r.writeback.known() }

// NoteLost notes an error of fsync(2) of the file for Lost.
func (r *Region) NoteLost(err error) { _ = r.writeback.note(err) }

// Writeback calls a function of package sys that writes dirty pages or waits for them. Its error is
// Lost, or says that the kernel refuses the call.
func (r *Region) Writeback(call func(fd int) error) error {
	return r.Use(func(fd int, _ []byte) error { return r.writeback.wait(call, fd) })
}

// checkLost asks the kernel, and returns Lost. If it returns nil, the data that were read before are
// right.
func (r *Region) checkLost() error { return r.writeback.check(r.file) }

// Protect makes every access to the memory fault, or allows accesses again. While they fault, no
// read asks for failures of the writeback: the caller asks by fsync(2).
func (r *Region) Protect(inaccessible bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.mem.Load(); m != nil {
		if err := sys.Mprotect(m.mem, !inaccessible, r.writable && !inaccessible); err != nil {
			return err
		}
	}
	r.protected = inaccessible
	r.writeback.stop(inaccessible)
	return nil
}

// Close closes the file. The memory becomes inaccessible when the Views that are running end. It is
// called once.
func (r *Region) Close() error {
	r.mu.Lock()
	r.closed = true
	m := r.mem.Swap(nil)
	r.mu.Unlock()
	if m != nil {
		m.release()
	}
	if r.file == nil {
		return nil
	}
	r.writeback.stop(true)
	return UnwrapPathError(r.file.Close())
}

// markResident notes that n bytes from off on are in memory.
func (r *Region) markResident(off int64, n int) {
	if r.resident.add(off, n) && !r.registered.Swap(true) {
		sweeping.add(recheckWeakly(weak.Make(r)))
	}
}

// recheckWeakly returns a function for the sweeper. The function refers to the region by w alone,
// so the sweeper does not keep the region from being collected.
func recheckWeakly(w weak.Pointer[Region]) recheckFunc {
	return func(vec []byte) bool {
		r := w.Value()
		if r == nil || r.isClosed() {
			return false
		}
		r.recheck(vec)
		return true
	}
}

// recheck forgets what may no longer be so. vec has room for an answer of mincore on a chunk. It
// asks for failures of the writeback, because reads of pages that are known to be resident do not.
func (r *Region) recheck(vec []byte) {
	_ = r.checkLost()
	r.dirty.clear()
	var mem []byte
	m := r.mem.Load()
	// If the caller does not own the file, mincore reports every page as resident.
	if m != nil && uint32(os.Geteuid()) == r.owner {
		mem = m.mem
	}
	r.resident.recheck(mem, vec)
	keepAlive(m)
}

// isClosed reports whether Close was called.
func (r *Region) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// UnwrapPathError takes the operation and the path off an error of package os: the caller adds its
// own.
func UnwrapPathError(err error) error {
	if e, ok := err.(*fs.PathError); ok { //nolint:errorlint // the outermost only
		return e.Err
	}
	return err
}
