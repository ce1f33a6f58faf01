package adapters

import (
	"io/fs"
	"sync/atomic"
)

// readAhead is how much ReadByte reads at once. More makes it no faster.
const readAhead = 512

// ahead is what ReadByte has read ahead. It is about the contents and not about the cursor, so
// that no method that moves the cursor need know of it.
type ahead struct {
	start int64
	data  []byte // what the source has from start on
	buf   *[readAhead]byte
}

// at returns the byte at off, if it was read ahead.
func (a *ahead) at(off int64) (c byte, ok bool) {
	if i := off - a.start; uint64(i) < uint64(len(a.data)) {
		return a.data[i], true
	}
	return 0, false
}

// from returns what was read ahead from off on.
func (a *ahead) from(off int64) []byte {
	if i := off - a.start; uint64(i) < uint64(len(a.data)) {
		return a.data[i:]
	}
	return nil
}

// read reads n bytes at off from src, fewer if it ends before, and if keep is true, some behind
// them. The error is nil unless there are none.
func (a *ahead) read(src Source, off int64, n int, keep bool) ([]byte, error) {
	if a.buf == nil {
		a.buf = new([readAhead]byte)
	}
	a.data = nil
	if keep {
		n = readAhead
	}
	n, err := src.ReadAt(a.buf[:n], off)
	if n == 0 {
		return nil, err
	}
	if keep {
		a.start, a.data = off, a.buf[:n]
	}
	return a.buf[:n], nil
}

// ReadByte returns the next byte, or io.EOF. Over a *snapshot.Mmap it is as fast as that of a
// bufio.Reader; over another source it costs as much as reading one byte with ReadAt: see the
// package documentation.
func (r *Reader) ReadByte() (byte, error) {
	if r != nil {
		if c, ok := r.ahead.at(r.off); ok {
			r.off++
			return c, nil
		}
	}
	return r.readByte()
}

// readByte stands apart to keep the usual case small.
func (r *Reader) readByte() (byte, error) {
	if !r.isValid() {
		return 0, fs.ErrInvalid
	}
	p, err := r.ahead.read(r.src, r.off, 1, r.fixed)
	if err != nil {
		return 0, err
	}
	r.off++
	return p[0], nil
}

// UnreadByte moves the cursor back by one byte, whatever moved it before. At 0 it is an error.
func (r *Reader) UnreadByte() error {
	if !r.isValid() {
		return fs.ErrInvalid
	}
	off, err := unread("unreadbyte", r.src, r.off, r.off-1, errAtBeginning)
	r.off = off
	return err
}

// changes counts the changes of a File's contents: those that have begun in the upper bits,
// those that have not ended in the lower. What was read while it had one value holds as long as
// it has that value, provided that nothing was going on.
//
// A bit between the two says that the File is closed, and changes nothing any more.
type changes struct{ state atomic.Int64 }

const (
	closed = 1 << 23 // more than there can be goroutines in the middle of a write
	begun  = 1 << 24
)

// begin reports false if the File is closed. end must be called in either case.
func (c *changes) begin() bool { return c.state.Add(begun+1)&closed == 0 }
func (c *changes) end()        { c.state.Add(-1) }

// close makes begin fail. From then on, quiet is false of each state.
func (c *changes) close() { c.state.Or(closed) }

// closeAt is close, if the state is still the given one. It reports whether it is.
func (c *changes) closeAt(state int64) bool { return c.state.CompareAndSwap(state, state|closed) }

// quiet reports whether no change was going on in a state.
func quiet(state int64) bool { return state%begun == 0 }

// ReadByte returns the next byte, or io.EOF. It reads ahead, but a byte that was written
// meanwhile through the File is the new one.
func (f *File) ReadByte() (byte, error) {
	if !f.isValid() {
		return 0, fs.ErrInvalid
	}
	if f.writeOnly {
		return 0, f.cannotRead()
	}
	f.cursor.Lock()
	defer f.cursor.Unlock()
	now := f.changes.state.Load()
	c, ok := f.ahead.at(f.off)
	if !ok || now != f.seen {
		p, err := f.readAhead(now, 1)
		if err != nil {
			return 0, err
		}
		c = p[0]
	}
	f.off++
	return c, nil
}

// readAhead reads n bytes at the cursor, fewer if the file ends before, and keeps what it can
// for as long as the state of changes is now. The caller holds cursor.
func (f *File) readAhead(now int64, n int) ([]byte, error) {
	f.seen = now
	return f.ahead.read(f.m, f.off, n, quiet(now))
}

// UnreadByte moves the cursor back by one byte, whatever moved it before. At 0 it is an error.
func (f *File) UnreadByte() error {
	if !f.isValid() {
		return fs.ErrInvalid
	}
	f.cursor.Lock()
	defer f.cursor.Unlock()
	off, err := unread("unreadbyte", f.m, f.off, f.off-1, errAtBeginning)
	f.off = off
	return err
}
