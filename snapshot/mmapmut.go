package snapshot

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/defrag"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/publish"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// MmapMut is a snapshot of a file, mapped into memory, that can be changed. The file changes
// with Commit, as a whole, and with nothing else. All methods may be called at the same time
// from several goroutines.
//
// It holds a private file, a mapping of it and two more descriptors until Close or
// CommitAndClose. Changed pages take disk space of their own. If it is dropped without Close,
// the garbage collector gives all that back some day, except for memory that Bytes returned.
type MmapMut struct {
	source
	config  Config             // constant
	at      *pathname.Location // where commits go; constant, but for its file
	setID   uint32             // set-id bits of Config.Perm, for Create; constant
	cleanup runtime.Cleanup    // closes at; constant

	// committing guards what follows. It is held for the whole of a commit, and by Close, which
	// so waits for one.
	committing sync.Mutex
	broken     error // why nothing can be committed any more
	nameless   bool  // the private file can get no name: it may have had one, or lies elsewhere
	named      bool  // files without a name cannot be published here

	flat defrag.State

	// baseline and known describe the file that was opened or last committed, as it was then; they
	// are nil as long as there was none. at.file is a descriptor of that file, or -1 if none could
	// be had.
	baseline *syscalls.Stat
	known    *publish.Attributes

	// store is shared by WriteAt, and owned by the clone of a commit and by what changes the size. It
	// is taken before layout.
	store sync.RWMutex

	// layout is owned, for a few system calls at most, by what changes the mapping or closes,
	// and shared by what has to see one state of all that follows. ReadAt does without it:
	// size is never more than mem has room for, if it is loaded first, because memory that
	// moved has more room and is stored before the size that needs it.
	layout sync.RWMutex
	closed atomic.Bool
	mem    atomic.Pointer[mapped.Mapping] // nil as long as nothing had to be mapped; longer than size, perhaps
	size   atomic.Int64                   // changes under store, and WriteGrow needs nothing else to make it more
	ragged bool                           // a write that failed may have made the private file longer than size; under store

	// views counts the Views that are running, on whichever mapping. It grows under layout, and
	// shrinks at any time.
	views atomic.Int64
}

func (c Config) newMmapMut(p privatefile.File, at *pathname.Location, name string) (*MmapMut, error) {
	m := &MmapMut{
		source: source{name: name, stat: at.Stat, method: Method(p.Method), owner: p.Owner},
		config: c,
		at:     at,

		nameless: !p.Linkable,
	}
	m.size.Store(p.Size)
	if at.FD >= 0 {
		m.baseline = &at.Stat
	}
	m.file = os.NewFile(uintptr(p.FD), name)
	if p.Size > 0 {
		if err := m.reserve(p.Size); err != nil {
			_ = m.file.Close()
			return nil, err
		}
	}
	m.cleanup = runtime.AddCleanup(m, (*pathname.Location).Close, at)
	return m, nil
}

// ReadAt is like [os.File.ReadAt]. It does not wait for a commit, nor for anything else but the
// disk, and takes no lock. Beside a Resize to less, what is cut off reads as it was, as zeros, or not
// at all.
func (m *MmapMut) ReadAt(p []byte, off int64) (int, error) {
	if m.closed.Load() {
		return 0, pathError("read", m.name, fs.ErrClosed)
	}
	size := m.size.Load() // before the mapping
	return m.source.readAt(m.mem.Load(), p, off, size)
}

// WriteAt is like [os.File.WriteAt] within the size of the snapshot: it does not grow it, as
// WriteGrow does. What does not fit is not written, and the error then is io.ErrShortWrite. A
// full disk is an error, not a crash. Calls in parallel are allowed; a commit contains all of a
// call or nothing, and WriteAt waits while the commit makes its clone.
func (m *MmapMut) WriteAt(p []byte, off int64) (int, error) {
	m.store.RLock()
	defer m.store.RUnlock()
	if m.closed.Load() {
		return 0, pathError("write", m.name, fs.ErrClosed)
	}
	n, err := within(len(p), off, m.size.Load())
	switch err {
	case io.EOF: //nolint:errorlint // within returns exact values
		err = io.ErrShortWrite
	case errNegativeOffset:
		return 0, pathError("writeat", m.name, err)
	}
	if mem := m.mem.Load(); n > 0 && !(mem.Dirty.Has(off, n) && mem.Copy(mem.Mem[off:], p[:n])) {
		if k, err := m.source.pwrite(mem, p[:n], off); err != nil {
			return k, pathError("write", m.name, err)
		}
	}
	return n, pathError("write", m.name, err)
}

// View calls f with the n bytes from off on, all to the end if n is negative, and returns its
// error. f may read and change b. b stays mapped until f returns, whatever others do, Close and
// Commit included; a Resize to less fails meanwhile. It must not be used afterwards, nor given to another goroutine
// that is still using it then. A store that is made while a commit makes its clone is in it or
// not: use WriteAt, or leave commits to f's own goroutine, where that matters. Bytes that are not
// there are fs.ErrInvalid, and f is not called.
//
// A disk error or a full disk while f uses b ends f there, as a panic does, and is View's
// error; EFAULT if the page can be had by the time the reason is looked for, as when a quota of
// btrfs is nearly used up: then calling View again helps. That holds for the goroutine of f
// alone: in one that f starts, it ends the program.
func (m *MmapMut) View(off, n int64, f func(b []byte) error) error {
	mem, n, err := m.pin("view", off, n)
	if err != nil {
		return err
	}
	if n == 0 {
		return f(nil)
	}
	defer m.views.Add(-1)
	return m.source.view(mem, off, n, f, m.cause)
}

// cause returns why a page could not be had, for reading or for storing into it. To learn the
// errno of a store, it writes the byte that is there. WriteAt has to wait meanwhile, so that
// this undoes none of its stores.
func (m *MmapMut) cause(off int64) error {
	if err := m.source.cause(off); !errors.Is(err, syscall.EFAULT) {
		return err
	}
	m.store.Lock()
	defer m.store.Unlock()
	var b [1]byte
	_, err := m.file.ReadAt(b[:], off)
	if err == nil {
		_, err = m.file.WriteAt(b[:], off)
	}
	if err != nil && !errors.Is(err, io.EOF) { // cut off meanwhile
		return bare(err)
	}
	return syscall.EFAULT
}

// cleaned notes that the kernel has written everything to the disk, so that the next store into
// any page takes a system call again.
func (m *MmapMut) cleaned() {
	if mem := m.mem.Load(); mem != nil {
		mem.Dirty.Clear()
	}
}

// Prefetch reads the n bytes from off on into memory, all to the end if n is negative, and
// returns when they are there: see [Mmap.Prefetch].
func (m *MmapMut) Prefetch(off, n int64) error {
	mem, n, err := m.pin("prefetch", off, n)
	if err != nil || n == 0 {
		return err
	}
	defer m.views.Add(-1)
	return m.source.prefetch(mem, off, n)
}

// Resident reports whether the n bytes from off on, all to the end if n is negative, are known to
// be in memory: see [Mmap.Resident].
func (m *MmapMut) Resident(off, n int64) bool {
	n, err := m.span("resident", off, n, m.size.Load()) // before the mapping
	if err != nil || m.closed.Load() {
		return false
	}
	return m.source.known(m.mem.Load(), off, n)
}

// pin checks a range and returns its length and its mapping, with a reference on it, and
// counted as a View. If the length is 0, it is neither.
func (m *MmapMut) pin(op string, off, n int64) (*mapped.Mapping, int64, error) {
	m.layout.RLock()
	defer m.layout.RUnlock()
	length, err := m.span(op, off, n, m.size.Load())
	if m.closed.Load() {
		return nil, 0, pathError(op, m.name, fs.ErrClosed)
	}
	if err != nil || length == 0 {
		return nil, 0, err
	}
	m.views.Add(1)
	mem := m.mem.Load()
	mem.Acquire() // cannot fail: the snapshot's reference goes under layout
	return mem, length, nil
}

// Bytes returns the memory itself, valid until Resize, a WriteGrow that grows, CommitAndClose or
// Close. Using it later is a fault that ends the program; so is a disk error or a full disk
// while it is used. ReadAt, WriteAt and View have neither problem. A store that is made while a
// commit makes its clone is in it or not. Do not call msync(2) on it: Commit does what is
// needed, and the kernel would tell of a failing disk once, to msync and not to Commit.
//
// It is nil if the size is 0, and after Close.
func (m *MmapMut) Bytes() []byte {
	m.layout.RLock()
	defer m.layout.RUnlock()
	size := m.size.Load()
	if m.closed.Load() || size == 0 {
		return nil
	}
	mem := m.mem.Load()
	mem.Escaped.Store(true)
	return mem.Mem[:size:size]
}

// Size returns the size of the snapshot in bytes.
func (m *MmapMut) Size() int64 { return m.size.Load() }

// Stat describes the file as it was before the copy was made, except for the size, which is
// that of the snapshot. For one made by Create it describes an empty file.
func (m *MmapMut) Stat() (fs.FileInfo, error) {
	if m.closed.Load() {
		return nil, pathError("stat", m.name, fs.ErrClosed)
	}
	return m.info(m.Size()), nil
}

// Close ends the snapshot and discards what was not committed. It waits for a commit that is
// under way. A View that is under way keeps its memory. A second Close returns fs.ErrClosed.
func (m *MmapMut) Close() error {
	m.committing.Lock()
	defer m.committing.Unlock()
	if m.closed.Load() {
		return pathError("close", m.name, fs.ErrClosed)
	}
	return pathError("close", m.name, m.close())
}

// close gives everything back. The caller holds committing.
func (m *MmapMut) close() error {
	m.layout.Lock()
	m.closed.Store(true)
	if mem := m.mem.Load(); mem != nil {
		mem.Release()
	}
	m.layout.Unlock()
	m.cleanup.Stop()
	m.at.Close()
	return bare(m.file.Close())
}

// fd returns the descriptor of the private file. The caller holds committing or layout, so that
// Close cannot close it meanwhile.
func (m *MmapMut) fd() int { return int(m.file.Fd()) }

var (
	_ io.ReaderAt = (*Mmap)(nil)
	_ io.Closer   = (*Mmap)(nil)
	_ io.ReaderAt = (*MmapMut)(nil)
	_ io.WriterAt = (*MmapMut)(nil)
	_ io.Closer   = (*MmapMut)(nil)
)
