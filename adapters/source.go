package adapters

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"runtime"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// Source is what *snapshot.Mmap and *snapshot.MmapMut have in common, as far as a Reader needs
// it.
type Source interface {
	// ReadAt is that of *os.File: at the end of the file the error is io.EOF itself, and a
	// closed source returns fs.ErrClosed, wrapped perhaps.
	io.ReaderAt

	// Stat describes the file.
	Stat() (fs.FileInfo, error)

	// Size returns the size in bytes.
	Size() int64

	// Name returns the name of the file, for errors.
	Name() string

	// View calls f with the n bytes from off on and returns its error, or an error of its own.
	// b stays mapped until f returns, and the caller of View gives it to nobody who keeps it
	// longer.
	View(off, n int64, f func(b []byte) error) error
}

var (
	_ Source = (*snapshot.Mmap)(nil)
	_ Source = (*snapshot.MmapMut)(nil)
)

// check returns an error of the operation op if src is closed or not valid.
func check(op string, src Source) error {
	// A Source has no method for it; reading nothing tells.
	if _, err := src.ReadAt(nil, 0); errors.Is(err, fs.ErrClosed) || errors.Is(err, fs.ErrInvalid) {
		return rename(op, err)
	}
	return nil
}

// rename gives an error of the snapshot the name of the operation that was called here.
func rename(op string, err error) error {
	if e, ok := err.(*fs.PathError); ok && e.Op != op { //nolint:errorlint // the outermost only
		return &fs.PathError{Op: op, Path: e.Path, Err: e.Err}
	}
	return err
}

// invalid is the error for an argument that the kernel refuses as such.
func invalid(op string, src Source) error {
	return &fs.PathError{Op: op, Path: src.Name(), Err: syscall.EINVAL}
}

// seek returns the cursor after a Seek from cur in a file of size bytes.
func seek(src Source, cur, size, offset int64, whence int) (int64, error) {
	if err := check("seek", src); err != nil {
		return 0, err
	}
	base := int64(0)
	switch whence {
	case seekData, seekHole:
		if runtime.GOOS == "linux" {
			return seekHoles(src, size, offset, whence)
		}
		return 0, invalid("seek", src)
	case io.SeekStart:
	case io.SeekCurrent:
		base = cur
	case io.SeekEnd:
		base = size
	default:
		return 0, invalid("seek", src)
	}
	if offset > math.MaxInt64-base || base+offset < 0 {
		return 0, invalid("seek", src)
	}
	return base + offset, nil
}

// The whence values of lseek(2) that look for data and holes on Linux.
const (
	seekData = 3
	seekHole = 4
)

// seekHoles looks for the next data or hole from offset on in a source of size bytes. A Source that
// does not know its holes is all data, as for the kernel a file of a filesystem without holes.
func seekHoles(src Source, size, offset int64, whence int) (int64, error) {
	h, ok := src.(interface {
		SeekData(off int64) (int64, error)
		SeekHole(off int64) (int64, error)
	})
	switch {
	case ok && whence == seekData:
		return h.SeekData(offset)
	case ok:
		return h.SeekHole(offset)
	case offset < 0 || offset >= size:
		return 0, &fs.PathError{Op: "seek", Path: src.Name(), Err: syscall.ENXIO}
	case whence == seekData:
		return offset, nil
	}
	return size, nil
}

// left returns how many of size bytes are behind off. A source fits into the address space.
func left(size, off int64) int { return int(max(size-off, 0)) }

// read turns the result of a ReadAt into that of a Read: what there is, then io.EOF.
func read(n int, err error) (int, error) {
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

var (
	errAtBeginning   = errors.New("the cursor is at the beginning")
	errNotBehindRune = errors.New("the cursor is not behind the rune that ReadRune returned last")
)

// unread returns the cursor to, which is before cur, or cur and the error nothing if to is
// negative.
func unread(op string, src Source, cur, to int64, nothing error) (int64, error) {
	if err := check(op, src); err != nil {
		return cur, err
	}
	if to < 0 {
		return cur, &fs.PathError{Op: op, Path: src.Name(), Err: nothing}
	}
	return to, nil
}
