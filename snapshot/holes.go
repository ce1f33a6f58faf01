package snapshot

import (
	"io/fs"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
)

// SeekData returns the offset of the first byte at or after off that is in no hole: lseek(2),
// SEEK_DATA. If no data follow, also because off is negative or not within the size, the error is
// syscall.ENXIO. Bytes in a hole are zeros that take no disk space. The holes are those of the
// private copy, which has the holes of the file. The contents of a small file are in memory, and
// have none.
//
// Each call costs one system call, or two if the private copy is no reflink. If the kernel could not
// write the private copy to the disk, the error is as that of ReadAt. A filesystem may report holes
// as data.
func (m *Mmap) SeekData(off int64) (int64, error) {
	if !m.isValid() {
		return 0, fs.ErrInvalid
	}
	return m.seek(off, mapped.SeekData)
}

// SeekHole returns the offset of the first hole at or after off: lseek(2), SEEK_HOLE. The end of
// the file counts as a hole. Costs and errors are those of SeekData.
func (m *Mmap) SeekHole(off int64) (int64, error) {
	if !m.isValid() {
		return 0, fs.ErrInvalid
	}
	return m.seek(off, mapped.SeekHole)
}

// SeekData returns the offset of the first byte at or after off that is in no hole: see
// [Mmap.SeekData]. Bytes that were written are data, also before a commit.
func (m *MmapMut) SeekData(off int64) (int64, error) {
	if !m.isValid() {
		return 0, fs.ErrInvalid
	}
	return m.seek(off, mapped.SeekData)
}

// SeekHole returns the offset of the first hole at or after off: see [Mmap.SeekHole].
func (m *MmapMut) SeekHole(off int64) (int64, error) {
	if !m.isValid() {
		return 0, fs.ErrInvalid
	}
	return m.seek(off, mapped.SeekHole)
}

// seek looks for data or a hole within the size. The private file can be longer for a moment, after
// a write that failed.
func (s *source) seek(off int64, whence int) (int64, error) {
	if s.closed.Load() {
		return 0, pathError("seek", s.name, fs.ErrClosed)
	}
	size := s.size()
	if off < 0 || off >= size {
		return 0, pathError("seek", s.name, syscall.ENXIO)
	}
	var at int64
	err := s.read(func(r *mapped.Region) (err error) {
		at, err = r.Seek(off, whence)
		return err
	})
	if err == nil && at >= size {
		at = size
		if whence == mapped.SeekData {
			err = syscall.ENXIO
		}
	}
	if err != nil {
		return 0, pathError("seek", s.name, err)
	}
	return at, nil
}
