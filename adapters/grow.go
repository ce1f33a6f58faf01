package adapters

import "math"

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
	return f.m.WriteGrow(p, off)
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
	return rename("truncate", f.m.Resize(size))
}
