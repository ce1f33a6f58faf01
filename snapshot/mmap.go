package snapshot

import (
	"io/fs"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// Mmap is a snapshot of a file, mapped into memory to be read. What others do to the file
// afterwards, overwriting, truncating or removing it, does not show. All methods may be called
// at the same time from several goroutines, Close included.
//
// It holds a descriptor, a mapping from when one is first needed, and, where the data had to be
// copied, the disk space of the copy, until Close. For a file of at most 128 KiB it holds the
// contents in the Go heap instead, and that mapping. If it is dropped without Close, the garbage
// collector gives them back some day, except for memory that Bytes returned.
//
// Methods of a nil *Mmap and of the zero value return fs.ErrInvalid or a zero value;
// String says that there is no snapshot.
type Mmap struct {
	source
	config Config // constant
}

// onOpen, if not nil, is told of each Mmap whether its contents are in Go memory. It is for tests.
var onOpen func(inMemory bool)

// isValid reports whether m was made by a function that opens.
func (m *Mmap) isValid() bool { return m != nil && m.region != nil }

// Name returns the name that was given to open the snapshot.
func (m *Mmap) Name() string {
	if !m.isValid() {
		return ""
	}
	return m.name
}

// Method tells how the private copy was made.
func (m *Mmap) Method() Method {
	if !m.isValid() {
		return None
	}
	return m.method
}

// Size returns the size of the snapshot in bytes.
func (m *Mmap) Size() int64 {
	if !m.isValid() {
		return 0
	}
	return m.size()
}

// Stat describes the file as it was before the copy was made, except for the size, which is
// that of the snapshot.
func (m *Mmap) Stat() (fs.FileInfo, error) {
	if !m.isValid() {
		return nil, fs.ErrInvalid
	}
	return m.info()
}

// Resident reports whether the n bytes from off on, all to the end if n is negative, are known to
// be in memory: read by ReadAt or Prefetch, or written, and not evicted since. The kernel can evict
// pages at any time, which Resident notices within seconds. It is false after Close, and for a range
// that is not within the size.
func (m *Mmap) Resident(off, n int64) bool { return m.isValid() && m.isResident(off, n) }

func (c Config) newMmap(p privatefile.File, name string, stat syscalls.Stat) (*Mmap, error) {
	m := &Mmap{config: c}
	if err := m.init(p, name, stat, false); err != nil {
		return nil, err
	}
	if onOpen != nil {
		onOpen(p.FD < 0)
	}
	return m, nil
}

// ReadAt is like [os.File.ReadAt]. It takes no lock and makes, once the pages are in memory, no
// system call, but for the one that maps the file. A disk error is an error, not a crash. Pages
// that are not in memory are read by pread(2), with the kernel's read-ahead, while other goroutines
// go on.
func (m *Mmap) ReadAt(p []byte, off int64) (int, error) {
	if !m.isValid() {
		return 0, fs.ErrInvalid
	}
	return m.readAt(p, off)
}

// View calls f with the n bytes from off on, all to the end if n is negative, and returns its
// error. b stays mapped until f returns, whatever others do, Close included. It must not be
// used afterwards, nor given to another goroutine that is still using it then. Bytes that are
// not there are fs.ErrInvalid, and f is not called.
//
// A disk error while f reads b ends f there, as a panic does, and is View's error. That holds
// for the goroutine of f alone: in one that f starts, it ends the program.
//
// Other panics of f go on. If f panics, a disk error in a function that f deferred goes on as a
// panic, too, even if that function has recovered from the first one.
//
// With Config.Lazy, b is a buffer if it has at most 16 KiB; for more, View makes the private copy.
func (m *Mmap) View(off, n int64, f func(b []byte) error) error {
	if !m.isValid() {
		return fs.ErrInvalid
	}
	if m.leased == nil {
		return m.view(off, n, f, m.region.ReadError)
	}
	return m.viewLeased(off, n, f)
}

// bufferedView is how many bytes View lends from a buffer, at most, if there is no private copy.
const bufferedView = 16 << 10

// viewLeased is View of a snapshot under a lease.
func (m *Mmap) viewLeased(off, n int64, f func(b []byte) error) error {
	n, err := m.checkRange("view", off, n)
	if err != nil {
		return err
	}
	if n == 0 {
		return f(nil)
	}
	if n <= bufferedView && m.leased.IsOriginal() {
		return m.viewBuffer(off, n, f)
	}
	r, err := m.private()
	if err != nil {
		return pathError("view", m.name, err)
	}
	return m.viewRegion(r, off, n, f, r.ReadError)
}

// viewBuffer is View of few bytes of the file itself, which are copied: a slice of its mapping
// would show what others write.
func (m *Mmap) viewBuffer(off, n int64, f func(b []byte) error) error {
	b := make([]byte, n)
	if _, err := m.readRegion(b, off); err != nil {
		return pathError("view", m.name, err)
	}
	return f(b)
}

// Bytes returns the memory itself, valid until Close. Using it later is a fault that ends the
// program; so is a disk error while it is used. ReadAt and View have neither problem.
//
// It is nil if the size is 0, after Close, if the file cannot be mapped, and if the disk refused the
// private copy, or, with Config.Lazy, if it cannot be made. View has the error of the last three.
// Snapshots that share a private copy share its memory, which then stays until the last is closed.
func (m *Mmap) Bytes() []byte {
	if !m.isValid() || m.closed.Load() {
		return nil
	}
	r, err := m.private()
	if err != nil {
		return nil
	}
	return r.Bytes()
}

// Settled reports whether no write(2) call was in progress when the copy was begun. Such a call sets
// the times of the file when it begins, and not when it ends, so that a [ComparedCopy] can have a
// part of what it writes. A Reflink, a LeasedCopy and a Lease are settled. A ComparedCopy is settled if a
// lease showed that no process had the file open for writing, if nothing is ever written to its
// filesystem (squashfs, EROFS, ISO 9660, cramfs), or if the last change of the file was two seconds
// old when the copy was begun; ten seconds if a process is known to have the file open for writing,
// and on filesystems of which leases prove nothing, overlayfs excepted. A call that takes longer is
// not noticed, and stores through a writable mapping are not. Settled costs nothing and stays the
// same after Close.
func (m *Mmap) Settled() bool { return m.isValid() && m.settled }

// Prefetch reads the n bytes from off on into memory, all to the end if n is negative, and
// returns when they are there. A snapshot made by reflink shares nothing with the page cache of
// the file: each page is read from the disk the first time. Other goroutines go on meanwhile,
// as they do not while a page is read because a slice was touched.
//
// Prefetch is for View, Bytes and reads in any order. To read once from the front to the end,
// ReadAt alone is up to three times as fast as Prefetch and ReadAt: the package documentation has a
// table.
func (m *Mmap) Prefetch(off, n int64) error {
	if !m.isValid() {
		return fs.ErrInvalid
	}
	return m.prefetch(off, n)
}

// Close ends the snapshot. Reads that are under way fail with fs.ErrClosed or complete; a View
// that is under way keeps its memory. A second Close returns fs.ErrClosed.
func (m *Mmap) Close() error {
	if !m.isValid() {
		return fs.ErrInvalid
	}
	if m.closed.Swap(true) {
		return pathError("close", m.name, fs.ErrClosed)
	}
	if m.leased != nil {
		return pathError("close", m.name, m.leased.Close())
	}
	return pathError("close", m.name, m.region.Close())
}
