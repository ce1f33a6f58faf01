package adapters

import (
	"io"
	"io/fs"
)

// ReadFrom writes at the cursor what r has until io.EOF, and returns how many bytes that were,
// and the error of r or of writing, if any. Each piece that r gives is one Write. r reads into
// a buffer, never into mapped memory, which it might keep.
func (f *File) ReadFrom(r io.Reader) (int64, error) {
	if !f.isValid() {
		return 0, fs.ErrInvalid
	}
	if err := check("write", f.m); err != nil {
		return 0, err
	}
	buf := buffers.Get().(*[piece]byte)
	defer buffers.Put(buf)
	return io.CopyBuffer(onlyWriter{f}, r, buf[:])
}

// onlyWriter hides ReadFrom from io.CopyBuffer, which would call it again.
type onlyWriter struct{ io.Writer }

// WriteTo is [Reader.WriteTo]; every w gets a copy of the data. No lock is held while w writes, so w may
// use the File; it may even be the File.
func (f *File) WriteTo(w io.Writer) (int64, error) {
	if !f.isValid() {
		return 0, fs.ErrInvalid
	}
	if f.writeOnly {
		return 0, f.cannotRead()
	}
	to, total := newSink(w, f.m), int64(0)
	for {
		off, n := f.take(to.piece())
		if n == 0 {
			return total, check("read", f.m)
		}
		written, err := to.copy(f.m, off, n)
		f.giveBack(off, n, written)
		total += written
		if err != nil || written == 0 {
			return total, err
		}
	}
}

// take moves the cursor by at most n bytes that there are, and returns where they are and how
// many.
func (f *File) take(n int64) (off, taken int64) {
	f.cursor.Lock()
	defer f.cursor.Unlock()
	off = f.off
	taken = max(min(f.Size()-off, n), 0)
	f.off += taken
	return off, taken
}

// giveBack moves the cursor back to what was written of what was taken, unless somebody has
// moved it since.
func (f *File) giveBack(off, taken, written int64) {
	f.cursor.Lock()
	defer f.cursor.Unlock()
	if f.off == off+taken {
		f.off = off + written
	}
}
