package adapters

import (
	"errors"
	"io/fs"
	"math"
)

// WriteAt is like [os.File.WriteAt], behind the end, too: see [File.Write]. It does not use the
// cursor. As with *os.File, it is an error if the File was opened with O_APPEND.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if !f.isValid() {
		return 0, fs.ErrInvalid
	}
	if f.appends {
		return 0, f.note(&fs.PathError{Op: "write", Path: f.m.Name(), Err: errAppends})
	}
	return f.writeAt(p, off)
}

var errAppends = errors.New("invalid use of WriteAt on file opened with O_APPEND") // as package os

func (f *File) writeAt(p []byte, off int64) (int, error) {
	if err := f.begin("write"); err != nil {
		return 0, err
	}
	defer f.changes.end()
	if off > math.MaxInt64-int64(len(p)) {
		if err := check("write", f.m); err != nil {
			return 0, err
		}
		return 0, f.note(invalid("write", f.m))
	}
	n, err := f.m.WriteGrow(p, off)
	return n, f.note(err)
}

// Truncate is like [os.File.Truncate]. It does not move the cursor.
func (f *File) Truncate(size int64) error {
	if !f.isValid() {
		return fs.ErrInvalid
	}
	if f.appends { // not between the look at the end and the write of a Write
		f.cursor.Lock()
		defer f.cursor.Unlock()
	}
	if err := f.begin("truncate"); err != nil {
		return err
	}
	defer f.changes.end()
	if size < 0 {
		if err := check("truncate", f.m); err != nil {
			return err
		}
		return f.note(invalid("truncate", f.m))
	}
	return f.note(rename("truncate", f.m.Resize(size)))
}
