package adapters

import (
	"io"
	"io/fs"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// A Reader reads a snapshot from a cursor on, as an *os.File that is open for reading reads a
// file. Several Readers over one source are independent of each other.
//
// ReadAt and Size may be called at any time from any goroutine. The other methods use the
// cursor, and only one goroutine may call them at a time, as with a bytes.Reader.
//
// A Reader that Open made must be closed. One that NewReader made holds nothing but memory and needs
// no Close. Once its source is closed, its methods return fs.ErrClosed; ReadByte and ReadRune may
// return up to 512 bytes more that were read before. Methods of a nil *Reader and of the zero value
// return fs.ErrInvalid or a zero value.
type Reader struct {
	// Constant after creation.
	src    Source
	fixed  bool      // the contents never change
	closes io.Closer // what Close closes, or nil

	off   int64 // the cursor; not negative
	ahead ahead
	last  lastRune
}

// NewReader returns a Reader over src, a *snapshot.Mmap or *snapshot.MmapMut for instance, with
// the cursor at 0.
func NewReader(src Source) *Reader {
	_, fixed := src.(*snapshot.Mmap)
	return &Reader{src: src, fixed: fixed}
}

// isValid reports whether r was made by a function of this package, with a source.
func (r *Reader) isValid() bool { return r != nil && r.src != nil }

// Name returns the name of the source: that which was given to open it.
func (r *Reader) Name() string {
	if !r.isValid() {
		return ""
	}
	return r.src.Name()
}

// Stat describes the file of the source: see [snapshot.Mmap.Stat].
func (r *Reader) Stat() (fs.FileInfo, error) {
	if !r.isValid() {
		return nil, fs.ErrInvalid
	}
	return r.src.Stat()
}

// Size returns the size of the source in bytes.
func (r *Reader) Size() int64 {
	if !r.isValid() {
		return 0
	}
	return r.src.Size()
}

// Len returns how many bytes are between the cursor and the end.
func (r *Reader) Len() int {
	if !r.isValid() {
		return 0
	}
	return left(r.src.Size(), r.off)
}

// ReadAt is like [os.File.ReadAt]. It does not use the cursor.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if !r.isValid() {
		return 0, fs.ErrInvalid
	}
	return r.src.ReadAt(p, off)
}

// Read is like [os.File.Read]. It fills p, unless the source ends before.
func (r *Reader) Read(p []byte) (int, error) {
	if !r.isValid() {
		return 0, fs.ErrInvalid
	}
	n, err := read(r.src.ReadAt(p, r.off))
	r.off += int64(n)
	return n, err
}

// Seek is like [os.File.Seek].
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	if !r.isValid() {
		return 0, fs.ErrInvalid
	}
	off, err := seek(r.src, r.off, r.src.Size(), offset, whence)
	if err != nil {
		return 0, err
	}
	r.off = off
	return off, nil
}

// WriteTo writes what is between the cursor and the end to w and moves the cursor by what w
// took. It returns that number, and the error of w or of the source; io.ErrShortWrite if w took
// less than it was given and had no error.
//
// w gets a copy of the data, in pieces of at most 128 KiB, unless it is an *os.File, *net.TCPConn or
// *net.UnixConn and the source cannot be changed (it is no io.WriterAt, as a *snapshot.MmapMut is)
// and was copied (its Method is not snapshot.Lease): these hand what is known to be in memory to the kernel as it is. Then the source keeps the memory
// mapped, also beyond a Close, until a Write under way returns.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	if !r.isValid() {
		return 0, fs.ErrInvalid
	}
	to, total := newSink(w, r.src), int64(0)
	for {
		n := min(r.src.Size()-r.off, to.piece())
		if n <= 0 {
			return total, check("read", r.src)
		}
		written, err := to.copy(r.src, r.off, n)
		r.off += written
		total += written
		if err != nil || written == 0 {
			return total, err
		}
	}
}

// Close closes the snapshot that Open made; a second Close returns fs.ErrClosed. For a Reader that
// NewReader made, Close does nothing and returns nil: its source stays open.
func (r *Reader) Close() error {
	if !r.isValid() {
		return fs.ErrInvalid
	}
	if r.closes == nil {
		return nil
	}
	return r.closes.Close()
}

var (
	_ fs.File           = (*Reader)(nil)
	_ io.ReadSeekCloser = (*Reader)(nil)
	_ io.ReaderAt       = (*Reader)(nil)
	_ io.WriterTo       = (*Reader)(nil)
	_ io.ByteScanner    = (*Reader)(nil)
	_ io.RuneScanner    = (*Reader)(nil)
)
