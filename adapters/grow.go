package adapters

import (
	"errors"
	"io"
	"math"
)

// WriteAt is like [os.File.WriteAt], behind the end, too: see [File.Write]. It does not use the
// cursor.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if off > math.MaxInt64-int64(len(p)) {
		if err := check("write", f.m); err != nil {
			return 0, err
		}
		return 0, invalid("write", f.m)
	}
	f.changes.begin()
	defer f.changes.end()
	if f.within(p, off) {
		n, err := f.writeInside(p, off)
		if err != io.ErrShortWrite {
			return n, err
		}
	}
	return f.writeBeyond(p, off)
}

// within reports whether p is to be written into the file as it is. What is negative or empty is
// for the snapshot to refuse or to ignore.
func (f *File) within(p []byte, off int64) bool {
	return off < 0 || len(p) == 0 || off+int64(len(p)) <= f.m.Size()
}

// writeInside writes p if all of it lies within the file. If not, the error is
// io.ErrShortWrite itself, and nothing has been written.
func (f *File) writeInside(p []byte, off int64) (int, error) {
	f.sizing.RLock()
	defer f.sizing.RUnlock()
	if !f.within(p, off) {
		return 0, io.ErrShortWrite
	}
	n, err := f.m.WriteAt(p, off)
	if n < len(p) && errors.Is(err, io.ErrShortWrite) { // somebody resized the snapshot behind our back
		return 0, io.ErrShortWrite
	}
	return n, err
}

// writeBeyond writes p, of which a part lies behind the end.
func (f *File) writeBeyond(p []byte, off int64) (int, error) {
	f.growing.Lock()
	defer f.growing.Unlock()
	f.sizing.Lock()
	defer f.sizing.Unlock()
	before, done, end := f.m.Size(), 0, off+int64(len(p))
	for {
		if f.m.Size() < end {
			if err := f.m.Resize(end); err != nil {
				return done, rename("write", err)
			}
		}
		n, err := f.m.WriteAt(p[done:], off+int64(done))
		done += n
		if errors.Is(err, io.ErrShortWrite) {
			continue // somebody has shrunk the snapshot itself meanwhile
		}
		if err != nil {
			f.cut(before, off, done)
		}
		return done, err
	}
}

// cut makes the file end, after a write at off that failed after done bytes, where that of
// package os would: behind what was written, or else where it did before.
func (f *File) cut(before, off int64, done int) {
	size := before
	if done > 0 {
		size = max(size, off+int64(done))
	}
	if f.m.Size() > size {
		_ = f.m.Resize(size) // the error of the write says more
	}
}

// Truncate is like [os.File.Truncate]. It does not move the cursor.
func (f *File) Truncate(size int64) error {
	if size < 0 {
		if err := check("truncate", f.m); err != nil {
			return err
		}
		return invalid("truncate", f.m)
	}
	f.changes.begin()
	defer f.changes.end()
	f.sizing.Lock()
	defer f.sizing.Unlock()
	return rename("truncate", f.m.Resize(size))
}
