package snapshot

import (
	"io"
	"io/fs"
	"runtime"
	"sync"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/defrag"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/publish"
)

// MmapMut is a snapshot of a file, mapped into memory, that can be changed. The file changes
// with Commit, as a whole, and with nothing else. All methods may be called at the same time
// from several goroutines.
//
// It holds a private file, a mapping of it from when one is first needed, and two more descriptors
// until Close or CommitAndClose. Changed pages take disk space of their own. If it is dropped
// without Close, the garbage collector gives all that back some day, except for memory that Bytes
// returned.
//
// Methods of a nil *MmapMut and of the zero value return fs.ErrInvalid or a zero value;
// String says that there is no snapshot.
type MmapMut struct {
	source
	config  Config          // constant
	cleanup runtime.Cleanup // closes origin.At; constant

	// committing guards what follows. It is held for the whole of a commit, and by Close, which
	// so waits for one.
	committing  sync.Mutex
	origin      publish.Origin // the file that was opened or last committed, and where commits go
	broken      error          // why nothing can be committed any more
	cannotLink  bool           // the private file must get no name: it is Spent, or lies elsewhere
	defragState defrag.State

	// store is shared by WriteAt, and owned by the clone of a commit, by what changes the size, and
	// by Close. It is taken after committing, and guards ragged.
	store  sync.RWMutex
	ragged bool // a write that failed may have made the private file longer than the size

	// views is shared by every View and Prefetch that is running. Resize to less and CommitAndClose
	// own it for a moment, and only try to: so a View can be inside another.
	views sync.RWMutex
}

func (c Config) newMmapMut(p privatefile.File, origin publish.Origin, name string) (*MmapMut, error) {
	m := &MmapMut{config: c, origin: origin, cannotLink: !p.Linkable}
	if err := m.init(p, name, origin.At.Stat, true); err != nil {
		return nil, err
	}
	m.cleanup = runtime.AddCleanup(m, (*pathname.Location).Close, origin.At)
	return m, nil
}

// isValid reports whether m was made by a function that opens.
func (m *MmapMut) isValid() bool { return m != nil && m.region != nil }

// Name returns the name that was given to open the snapshot.
func (m *MmapMut) Name() string {
	if !m.isValid() {
		return ""
	}
	return m.name
}

// Method tells how the private copy was made.
func (m *MmapMut) Method() Method {
	if !m.isValid() {
		return None
	}
	return m.method
}

// Size returns the size of the snapshot in bytes.
func (m *MmapMut) Size() int64 {
	if !m.isValid() {
		return 0
	}
	return m.size()
}

// Stat describes the file as it was before the copy was made, except for the size, which is
// that of the snapshot. For a snapshot made by Create it describes an empty file.
func (m *MmapMut) Stat() (fs.FileInfo, error) {
	if !m.isValid() {
		return nil, fs.ErrInvalid
	}
	return m.info()
}

// Resident reports whether the n bytes from off on, all to the end if n is negative, are known to
// be in memory: see [Mmap.Resident].
func (m *MmapMut) Resident(off, n int64) bool { return m.isValid() && m.isResident(off, n) }

// ReadAt is like [os.File.ReadAt]. It does not wait for a commit, nor for anything else but the
// disk, and takes no lock. Beside a Resize to less, what is cut off reads as it was, as zeros, or
// not at all.
func (m *MmapMut) ReadAt(p []byte, off int64) (int, error) {
	if !m.isValid() {
		return 0, fs.ErrInvalid
	}
	return m.readAt(p, off)
}

// WriteAt is like [os.File.WriteAt] within the size of the snapshot: it does not grow it, as
// WriteGrow does. What does not fit is not written, and the error then is io.ErrShortWrite. A
// full disk is an error, not a crash. Calls in parallel are allowed; a commit contains all of a
// call or nothing, and WriteAt waits while the commit makes its clone.
func (m *MmapMut) WriteAt(p []byte, off int64) (int, error) {
	if !m.isValid() {
		return 0, fs.ErrInvalid
	}
	m.store.RLock()
	defer m.store.RUnlock()
	if m.closed.Load() {
		return 0, pathError("write", m.name, fs.ErrClosed)
	}
	n, err := clip(len(p), off, m.Size())
	switch err {
	case io.EOF: //nolint:errorlint // clip returns exact values
		err = io.ErrShortWrite
	case errNegativeOffset:
		return 0, pathError("writeat", m.name, err)
	}
	if n > 0 {
		if k, err := m.region.WriteAt(p[:n], off); err != nil {
			return k, pathError("write", m.name, sourceFault(p[k:n], err))
		}
	}
	return n, pathError("write", m.name, err)
}

// View calls f with the n bytes from off on, all to the end if n is negative, and returns its
// error. f may read and change b. b stays mapped until f returns, whatever others do, Close and
// Commit included; a Resize to less fails meanwhile. It must not be used afterwards, nor given to
// another goroutine that is still using it then. A store that is made while a commit makes its
// clone is in it or not: use WriteAt, or leave commits to f's own goroutine, where that matters.
// Bytes that are not there are fs.ErrInvalid, and f is not called.
//
// A disk error or a full disk while f uses b ends f there, as a panic does, and is View's
// error; EFAULT if the page can be had by the time the reason is looked for, as when a quota of
// btrfs is nearly used up: then calling View again helps. That holds for the goroutine of f
// alone: in one that f starts, it ends the program.
//
// Other panics of f go on. If f panics, a disk error in a function that f deferred goes on as a
// panic, too, even if that function has recovered from the first one.
func (m *MmapMut) View(off, n int64, f func(b []byte) error) error {
	if !m.isValid() {
		return fs.ErrInvalid
	}
	m.views.RLock()
	defer m.views.RUnlock()
	return m.view(off, n, f, m.storeError)
}

// storeError returns why the page at off could not be had, for reading or for storing into it.
// WriteGrow has to wait meanwhile, because this allocates blocks behind the end and frees them.
func (m *MmapMut) storeError(off int64) error {
	m.store.Lock()
	defer m.store.Unlock()
	return m.region.StoreError(off)
}

// Prefetch reads the n bytes from off on into memory, all to the end if n is negative, and
// returns when they are there: see [Mmap.Prefetch].
func (m *MmapMut) Prefetch(off, n int64) error {
	if !m.isValid() {
		return fs.ErrInvalid
	}
	m.views.RLock() // it uses the mapping, as a View does
	defer m.views.RUnlock()
	return m.prefetch(off, n)
}

// Bytes returns the memory itself, valid until Resize, a WriteGrow that grows, CommitAndClose or
// Close. Using it later is a fault that ends the program; so is a disk error or a full disk
// while it is used. ReadAt, WriteAt and View have neither problem. A store that is made while a
// commit makes its clone is in it or not. Do not call msync(2) on it: Commit does what is
// needed, and the kernel would tell of a failing disk once, to msync and not to Commit.
//
// It is nil if the size is 0, after Close, if the file cannot be mapped, and if the disk refused the
// private copy. View has the error of the last two.
func (m *MmapMut) Bytes() []byte {
	if !m.isValid() || m.closed.Load() {
		return nil
	}
	return m.region.Bytes()
}

// Close ends the snapshot and discards what was not committed. It waits for a commit that is
// under way. A View that is under way keeps its memory. A second Close returns fs.ErrClosed.
func (m *MmapMut) Close() error {
	if !m.isValid() {
		return fs.ErrInvalid
	}
	m.committing.Lock()
	defer m.committing.Unlock()
	if m.closed.Load() {
		return pathError("close", m.name, fs.ErrClosed)
	}
	return pathError("close", m.name, m.close())
}

// close gives everything back. The caller holds committing.
func (m *MmapMut) close() error {
	m.store.Lock()
	defer m.store.Unlock()
	m.closed.Store(true)
	m.cleanup.Stop()
	m.origin.At.Close()
	return m.region.Close()
}

// fd returns the descriptor of the private file. The caller holds committing or store, so that
// Close cannot close it meanwhile.
func (m *MmapMut) fd() int { return m.region.FD() }

var (
	_ io.ReaderAt = (*Mmap)(nil)
	_ io.Closer   = (*Mmap)(nil)
	_ io.ReaderAt = (*MmapMut)(nil)
	_ io.WriterAt = (*MmapMut)(nil)
	_ io.Closer   = (*MmapMut)(nil)
)
