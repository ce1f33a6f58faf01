package adapters

import (
	"errors"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// A File is read and edited like an *os.File that is open for both, but edits a private copy.
// The file itself changes with Sync, and with Close if OpenFile or Create made the File, as a
// whole: whoever reads it sees what it held before or all that was written until then, also after a
// crash.
//
// All methods may be called at the same time from several goroutines. Those that use the cursor
// take turns; ReadAt, and WriteAt inside the file, run in parallel. A write that makes the file
// longer happens in one step: ReadAt, Size and Sync find the size before it, or the size after
// it with the data. Writes wait while a Sync makes its clone, and not while it waits for the
// disk; reads never wait.
//
// A File must be closed, or its snapshot must. Afterwards its methods return fs.ErrClosed; if it
// was the snapshot, ReadByte and ReadRune may return up to 512 bytes more that were read before.
// Methods of a nil *File and of the zero value return fs.ErrInvalid or a zero value.
type File struct {
	// Constant after creation.
	m         *snapshot.MmapMut
	publishes bool // OpenFile made it: m changes through the File alone, and Close commits
	writeOnly bool
	appends   bool // each Write goes to the end

	cursor sync.Mutex // guards what follows; held by what reads or writes at the cursor
	off    int64      // not negative
	ahead  ahead
	seen   int64 // the state of changes before ahead was read
	last   lastRune

	changes changes               // of the contents, and of the mode
	synced  atomic.Int64          // the state of changes before the last Sync
	failed  atomic.Pointer[error] // the first error of a change, if the File publishes
}

// isValid reports whether f was made by a function of this package.
func (f *File) isValid() bool { return f != nil && f.m != nil }

// NewFile returns a File that edits m, with the cursor at 0. The File takes m over: Close
// closes it, and a write that grows the file makes slices of m.Bytes invalid. Other methods of
// m may still be used, but ReadByte and ReadRune do not notice changes made in that way for up
// to 512 bytes, before the File changes something itself.
func NewFile(m *snapshot.MmapMut) *File {
	if _, err := m.Stat(); errors.Is(err, fs.ErrInvalid) {
		return new(File)
	}
	return &File{m: m}
}

// Name returns the name that the snapshot was opened with.
func (f *File) Name() string {
	if !f.isValid() {
		return ""
	}
	return f.m.Name()
}

// Size returns the size in bytes.
func (f *File) Size() int64 {
	if !f.isValid() {
		return 0
	}
	return f.m.Size()
}

// Len returns how many bytes are between the cursor and the end.
func (f *File) Len() int {
	if !f.isValid() {
		return 0
	}
	f.cursor.Lock()
	defer f.cursor.Unlock()
	return left(f.Size(), f.off)
}

// Stat describes the file as it was before it was opened, except for the size, which is that of
// the contents now.
func (f *File) Stat() (fs.FileInfo, error) {
	if !f.isValid() {
		return nil, fs.ErrInvalid
	}
	return f.m.Stat()
}

// ReadAt is like [os.File.ReadAt]. It does not use the cursor.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if !f.isValid() {
		return 0, fs.ErrInvalid
	}
	if f.writeOnly && len(p) > 0 && off >= 0 {
		return 0, f.cannotRead()
	}
	return f.m.ReadAt(p, off)
}

// cannotRead returns the error of a read of a File that is open for writing alone.
func (f *File) cannotRead() error {
	if err := check("read", f.m); err != nil {
		return err
	}
	return &fs.PathError{Op: "read", Path: f.m.Name(), Err: syscall.EBADF}
}

// Read is like [os.File.Read]. It fills p, unless the file ends before.
func (f *File) Read(p []byte) (int, error) {
	if !f.isValid() {
		return 0, fs.ErrInvalid
	}
	f.cursor.Lock()
	defer f.cursor.Unlock()
	n, err := read(f.ReadAt(p, f.off))
	f.off += int64(n)
	return n, err
}

// Seek is like [os.File.Seek].
func (f *File) Seek(offset int64, whence int) (int64, error) {
	if !f.isValid() {
		return 0, fs.ErrInvalid
	}
	f.cursor.Lock()
	defer f.cursor.Unlock()
	off, err := seek(f.m, f.off, f.Size(), offset, whence)
	if err != nil {
		return 0, err
	}
	f.off = off
	return off, nil
}

// Write is like [os.File.Write]: what is written behind the end makes the file longer, and what
// lies between reads as zeros. A full disk is an error, not a crash. The data of earlier calls stay,
// and so many bytes of this call as the count says.
func (f *File) Write(p []byte) (int, error) {
	if !f.isValid() {
		return 0, fs.ErrInvalid
	}
	f.cursor.Lock()
	defer f.cursor.Unlock()
	if f.appends && len(p) > 0 {
		f.off = f.m.Size()
	}
	n, err := f.writeAt(p, f.off)
	f.off += int64(n)
	return n, err
}

// WriteString is Write with a string. One longer than 128 KiB costs a copy of it in new memory.
func (f *File) WriteString(s string) (int, error) {
	if len(s) > piece {
		return f.Write([]byte(s))
	}
	buf := buffers.Get().(*[piece]byte)
	defer buffers.Put(buf)
	return f.Write(buf[:copy(buf[:], s)])
}

var (
	_ fs.File            = (*File)(nil)
	_ io.ReadWriteSeeker = (*File)(nil)
	_ io.ReaderAt        = (*File)(nil)
	_ io.WriterAt        = (*File)(nil)
	_ io.StringWriter    = (*File)(nil)
	_ io.ByteScanner     = (*File)(nil)
	_ io.RuneScanner     = (*File)(nil)
	_ io.ReaderFrom      = (*File)(nil)
	_ io.WriterTo        = (*File)(nil)
)
