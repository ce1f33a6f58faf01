package adapters

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"sync/atomic"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// A snapshotFile is the fs.File of a regular file.
type snapshotFile struct {
	Reader
	from borrowed
}

// View, Resident and Prefetch make it a Source for other Readers.

func (f *snapshotFile) View(off, n int64, do func(b []byte) error) error {
	return f.from.View(off, n, do)
}
func (f *snapshotFile) Resident(off, n int64) bool  { return f.from.Resident(off, n) }
func (f *snapshotFile) Prefetch(off, n int64) error { return f.from.Prefetch(off, n) }

func newSnapshotFile(c *cache, s *shared, name string) *snapshotFile {
	f := &snapshotFile{from: borrowed{loan: &loan{shared: s, from: c}, name: name}}
	f.Reader = Reader{src: &f.from, fixed: true, closes: &f.from}
	f.from.cleanup = runtime.AddCleanup(f, func(l *loan) { l.end() }, f.from.loan)
	return f
}

// A loan is the use of a shared snapshot by one file.
type loan struct {
	*shared
	from   *cache
	closed atomic.Bool
}

// end gives the snapshot back, and reports whether it was not given back before.
func (l *loan) end() bool {
	if l.closed.Swap(true) {
		return false
	}
	l.from.release(l.shared)
	return true
}

// borrowed is a shared snapshot as one file sees it: under its name, and until it is closed. The
// garbage collector ends the loan of a file that was never closed, once the borrowed is
// unreachable. Its methods keep it reachable until they return, because a caller may have no other
// reference to the file.
type borrowed struct {
	*loan
	name    string
	cleanup runtime.Cleanup // ends the loan
}

func (b *borrowed) isClosed(op string) error {
	return &fs.PathError{Op: op, Path: b.name, Err: fs.ErrClosed}
}

func (b *borrowed) Name() string { return b.name }
func (b *borrowed) Size() int64  { return b.m.Size() }

// Method tells sinks how the snapshot was made.
func (b *borrowed) Method() snapshot.Method { return b.m.Method() }

// Stat describes the file as it was before the snapshot was made, the size excepted, which is
// that of the snapshot.
func (b *borrowed) Stat() (fs.FileInfo, error) {
	if b.closed.Load() {
		return nil, b.isClosed("stat")
	}
	info, err := b.m.Stat()
	runtime.KeepAlive(b)
	if err != nil {
		return nil, b.named(err)
	}
	v := ""
	if b.exact {
		v = b.id.version()
	}
	return namedInfo{info, path.Base(b.name), v}, nil
}

func (b *borrowed) ReadAt(p []byte, off int64) (int, error) {
	if b.closed.Load() {
		return 0, b.isClosed("read")
	}
	n, err := b.m.ReadAt(p, off)
	runtime.KeepAlive(b)
	return n, b.named(err)
}

func (b *borrowed) View(off, n int64, f func(p []byte) error) error {
	if b.closed.Load() {
		return b.isClosed("view")
	}
	defer runtime.KeepAlive(b)
	var own error // which is the caller's business
	err := b.m.View(off, n, func(p []byte) error {
		own = f(p)
		return nil
	})
	if err != nil {
		return b.named(err)
	}
	return own
}

func (b *borrowed) Resident(off, n int64) bool {
	defer runtime.KeepAlive(b)
	return !b.closed.Load() && b.m.Resident(off, n)
}

func (b *borrowed) Prefetch(off, n int64) error {
	if b.closed.Load() {
		return b.isClosed("prefetch")
	}
	defer runtime.KeepAlive(b)
	return b.named(b.m.Prefetch(off, n))
}

// rejectFailed takes s out of the cache if err says that the disk failed it, or that it lost its
// lease.
func (c *cache) rejectFailed(s *shared, err error) {
	if errors.Is(err, syscall.EFAULT) || errors.Is(err, syscall.ENOMEM) { // the caller's
		return
	}
	if _, ok := errors.AsType[syscall.Errno](err); ok || errors.Is(err, snapshot.ErrUnstable) {
		c.reject(s)
	}
}

// named gives an error of the snapshot the name of the file. It takes a snapshot that fails out of
// the cache.
func (b *borrowed) named(err error) error {
	if e, ok := err.(*fs.PathError); ok { //nolint:errorlint // the outermost only
		b.from.rejectFailed(b.shared, err)
		return &fs.PathError{Op: e.Op, Path: b.name, Err: e.Err}
	}
	return err
}

func (b *borrowed) SeekData(off int64) (int64, error) { return b.seek(off, (*snapshot.Mmap).SeekData) }
func (b *borrowed) SeekHole(off int64) (int64, error) { return b.seek(off, (*snapshot.Mmap).SeekHole) }

func (b *borrowed) seek(
	off int64, call func(m *snapshot.Mmap, off int64) (int64, error),
) (int64, error) {
	if b.closed.Load() {
		return 0, b.isClosed("seek")
	}
	defer runtime.KeepAlive(b)
	at, err := call(b.m, off)
	return at, b.named(err)
}

// Close gives the snapshot back. A second one returns fs.ErrClosed.
func (b *borrowed) Close() error {
	b.cleanup.Stop()
	if !b.end() {
		return b.isClosed("close")
	}
	return nil
}

// A dirFile is the fs.File of a directory. It has no more methods than that, because those of
// an *os.File could change the directory.
type dirFile struct {
	d    *os.File
	name string   // as it was given
	root *os.Root // of the FS
	full string   // the name below root
}

// Name returns the name that was given to open it.
func (f *dirFile) Name() string { return f.name }

func (f *dirFile) Stat() (fs.FileInfo, error) {
	info, err := f.d.Stat()
	if err != nil {
		return nil, named("stat", f.name, err)
	}
	return namedInfo{info, path.Base(f.name), ""}, nil
}

func (f *dirFile) Read(p []byte) (int, error) {
	_, err := f.d.Read(p) // which is an error, of the kernel's choice
	return 0, named("read", f.name, err)
}

func (f *dirFile) ReadDir(n int) ([]fs.DirEntry, error) {
	entries, err := readDir(f.d, n, f.root, f.full)
	if err != nil && !errors.Is(err, io.EOF) {
		err = named("readdir", f.name, err)
	}
	return entries, err
}

func (f *dirFile) Close() error { return named("close", f.name, f.d.Close()) }

// readDir reads entries of the directory d, which has that name below root.
func readDir(d *os.File, n int, root *os.Root, name string) ([]fs.DirEntry, error) {
	entries, err := d.ReadDir(n)
	for i, e := range entries {
		entries[i] = dirEntry{e, root, path.Join(name, e.Name())}
	}
	return entries, err
}

// A dirEntry describes itself by root, which never leads out, and not by a name.
type dirEntry struct {
	fs.DirEntry
	root *os.Root
	name string // below root
}

func (e dirEntry) Info() (fs.FileInfo, error) { return e.root.Lstat(e.name) }

var (
	_ fs.File        = (*snapshotFile)(nil)
	_ io.ReadSeeker  = (*snapshotFile)(nil)
	_ io.ReaderAt    = (*snapshotFile)(nil)
	_ io.WriterTo    = (*snapshotFile)(nil)
	_ io.RuneScanner = (*snapshotFile)(nil)
	_ fs.ReadDirFile = (*dirFile)(nil)
	_ Source         = (*borrowed)(nil)
	_ Source         = (*snapshotFile)(nil)
	_ mapped         = (*snapshotFile)(nil)
)
