package snapshot

import (
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// Mmap is a snapshot of a file, mapped into memory to be read. What others do to the file
// afterwards, overwriting, truncating or removing it, does not show. All methods may be called
// at the same time from several goroutines, Close included.
//
// It holds a descriptor, a mapping and, where the data had to be copied, the disk space of the
// copy, until Close. If it is dropped without Close, the garbage collector gives them back some
// day, except for memory that Bytes returned.
type Mmap struct {
	source
	size   int64
	mem    *mapped.Mapping // nil if size is 0; constant
	closed atomic.Bool
}

func newMmap(p privatefile.File, name string, stat syscalls.Stat) (*Mmap, error) {
	m := &Mmap{
		source: source{name: name, stat: stat, method: Method(p.Method)},
		size:   p.Size,
	}
	if p.Size > 0 {
		mem, err := mapped.Map(p.FD, int(p.Size), false)
		if err != nil {
			_ = syscalls.Close(p.FD)
			return nil, err
		}
		m.mem = mapped.New(mem, false, p.Owner)
	}
	m.file = os.NewFile(uintptr(p.FD), name)
	return m, nil
}

// ReadAt is like [os.File.ReadAt]. It takes no lock and makes, once the pages are in memory, no
// system call. A disk error is an error, not a crash. What is not in memory is read by pread(2),
// with the kernel's read-ahead, while other goroutines go on.
func (m *Mmap) ReadAt(p []byte, off int64) (int, error) {
	if m.closed.Load() {
		return 0, pathError("read", m.name, fs.ErrClosed)
	}
	return m.source.readAt(m.mem, p, off, m.size)
}

// View calls f with the n bytes from off on, all to the end if n is negative, and returns its
// error. b stays mapped until f returns, whatever others do, Close included. It must not be
// used afterwards, nor given to another goroutine that is still using it then. Bytes that are
// not there are fs.ErrInvalid, and f is not called.
//
// A disk error while f reads b ends f there, as a panic does, and is View's error. That holds
// for the goroutine of f alone: in one that f starts, it ends the program.
func (m *Mmap) View(off, n int64, f func(b []byte) error) error {
	if m.closed.Load() {
		return pathError("view", m.name, fs.ErrClosed)
	}
	n, err := m.source.span("view", off, n, m.size)
	if err != nil {
		return err
	}
	if n == 0 {
		return f(nil)
	}
	if !m.mem.Acquire() {
		return pathError("view", m.name, fs.ErrClosed)
	}
	return m.source.view(m.mem, off, n, f, m.cause)
}

// Bytes returns the memory itself, valid until Close, and nil after that. Using it later is a
// fault that ends the program; so is a disk error while it is used. ReadAt and View have neither
// problem.
func (m *Mmap) Bytes() []byte {
	if m.mem == nil || m.closed.Load() {
		return nil
	}
	m.mem.Escaped.Store(true)
	return m.mem.Mem
}

// Size returns the size of the snapshot in bytes.
func (m *Mmap) Size() int64 { return m.size }

// Stat describes the file as it was before the copy was made, except for the size, which is
// that of the snapshot.
func (m *Mmap) Stat() (fs.FileInfo, error) {
	if m.closed.Load() {
		return nil, pathError("stat", m.name, fs.ErrClosed)
	}
	return m.info(m.size), nil
}

// Prefetch reads the n bytes from off on into memory, all to the end if n is negative, and
// returns when they are there. A snapshot made by reflink shares nothing with the page cache of
// the file: each page is read from the disk the first time. Other goroutines go on meanwhile,
// as they do not while a page is read because a slice was touched.
func (m *Mmap) Prefetch(off, n int64) error {
	if m.closed.Load() {
		return pathError("prefetch", m.name, fs.ErrClosed)
	}
	n, err := m.source.span("prefetch", off, n, m.size)
	if err != nil || n == 0 {
		return err
	}
	if !m.mem.Acquire() {
		return pathError("prefetch", m.name, fs.ErrClosed)
	}
	return m.source.prefetch(m.mem, off, n)
}

// Close ends the snapshot. Reads that are under way fail with fs.ErrClosed or complete; a View
// that is under way keeps its memory. A second Close returns fs.ErrClosed.
func (m *Mmap) Close() error {
	if m.closed.Swap(true) {
		return pathError("close", m.name, fs.ErrClosed)
	}
	if m.mem != nil {
		m.mem.Release()
	}
	return pathError("close", m.name, bare(m.file.Close()))
}

// Resident reports whether the n bytes from off on, all to the end if n is negative, are known to
// be in memory. Then touching them waits for no disk, as far as anybody can tell: memory that runs
// short takes pages back at any time, which is noticed within seconds. What nobody has read by
// ReadAt or Prefetch is not known. It is false after Close, and of bytes that are not there.
func (m *Mmap) Resident(off, n int64) bool {
	n, err := m.source.span("resident", off, n, m.size)
	return err == nil && !m.closed.Load() && m.source.known(m.mem, off, n)
}
