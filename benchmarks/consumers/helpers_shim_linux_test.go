package consumers

import (
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
)

// osLike is what libraries with filesystems of their own use of an *os.File.
type osLike interface {
	io.ReadWriteSeeker
	io.ReaderAt
	io.WriterAt
	io.StringWriter
	io.Closer
	Name() string
	Readdir(n int) ([]fs.FileInfo, error)
	Readdirnames(n int) ([]string, error)
	Stat() (fs.FileInfo, error)
	Sync() error
	Truncate(size int64) error
}

// openFile is os.OpenFile by the functions of package adapters, which open regular files alone and
// have one type for reading and another for writing.
func openFile(name string, flag int, perm fs.FileMode) (osLike, error) {
	if flag&(os.O_WRONLY|os.O_RDWR) != 0 {
		f, err := adapters.OpenFile(name, flag, perm)
		if err != nil {
			return nil, err // and not a nil *File
		}
		return f, nil
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return os.Open(name)
	}
	r, err := adapters.Open(name)
	if err != nil {
		return nil, err
	}
	return readOnly{r}, nil
}

// readOnly is a Reader with methods that fail as those of an os.File that is open for reading.
type readOnly struct{ *adapters.Reader }

func (r readOnly) fail(op string) error {
	return &fs.PathError{Op: op, Path: r.Name(), Err: syscall.EBADF}
}

func (r readOnly) Write([]byte) (int, error)          { return 0, r.fail("write") }
func (r readOnly) WriteAt([]byte, int64) (int, error) { return 0, r.fail("write") }
func (r readOnly) WriteString(string) (int, error)    { return 0, r.fail("write") }
func (r readOnly) Truncate(int64) error {
	return &fs.PathError{Op: "truncate", Path: r.Name(), Err: syscall.EINVAL}
}
func (r readOnly) Sync() error { return nil }
func (r readOnly) Readdirnames(int) ([]string, error) {
	return nil, &fs.PathError{Op: "readdirent", Path: r.Name(), Err: syscall.ENOTDIR}
}
