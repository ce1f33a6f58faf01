package pathname

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// NoDir stands for the directory of a file that is not known to lie in one.
const NoDir = -1

// A Location is where a name led when it was resolved: an open directory, and a name in it that is
// not a symbolic link. It stays right when the working directory changes or a link is turned
// elsewhere.
type Location struct {
	DirFD int // of OpenDir; NoDir if the name led to a file by no name: see Resolve
	Name  string
	FD    int // of OpenPath, or -1: no file has the name
	Stat  syscalls.Stat

	Unopened string // if not "", the name of the directory, which Dir opens
}

// Dir returns DirFD. After ResolveFile, the first call opens the directory, and returns NoDir if
// it cannot be opened.
func (p *Location) Dir() int {
	if p.Unopened != "" {
		dir, err := sys.OpenDir(syscalls.AtFdcwd, p.Unopened)
		if p.Unopened = ""; err == nil {
			p.DirFD = dir
		}
	}
	return p.DirFD
}

func (p *Location) Close() {
	if p.DirFD != NoDir {
		_ = syscalls.Close(p.DirFD)
	}
	p.CloseFD()
}

func (p *Location) CloseFD() {
	if p.FD >= 0 {
		_ = syscalls.Close(p.FD)
		p.FD = -1
	}
}

// isLink reports whether the file at p is a symbolic link.
func (p *Location) isLink() bool {
	return p.FD >= 0 && p.Stat.Mode.Type() == fs.ModeSymlink
}

// RequireDir returns an error if there is no directory that a commit could go to.
func (p *Location) RequireDir() error {
	if p.DirFD == NoDir {
		return fmt.Errorf("no name is known that leads to the file: %w", fs.ErrInvalid)
	}
	return nil
}

// OpenPath opens the file that has the name now.
func (p *Location) OpenPath() (err error) {
	for i := range retry.Attempts {
		err = p.OpenPathOnce()
		if !errors.Is(err, syscall.ESTALE) {
			break
		}
		time.Sleep(time.Millisecond << i)
	}
	return err
}

// OpenPathOnce is OpenPath without pauses. It says ESTALE for a file that was replaced as soon as
// it was found, on a server that goes by names: NFS says that, FUSE perhaps ENOENT, which it would
// be a mistake to take for a name that is free.
func (p *Location) OpenPathOnce() error {
	file, err := sys.OpenPath(p.DirFD, p.Name)
	if err != nil {
		return err
	}
	stat, err := sys.Fstat(file)
	if err != nil {
		_ = syscalls.Close(file)
		if errors.Is(err, fs.ErrNotExist) {
			err = os.NewSyscallError("fstat", syscall.ESTALE)
		}
		return err
	}
	p.FD, p.Stat = file, stat
	return nil
}

// OpenRead opens the file for reading. Without /proc, or if the file has been replaced by now on a
// server that goes by names, that goes by the name alone, which may lead to another file from one
// moment to the next: then that one is looked at and opened. If another process has a lease that
// excludes readers, OpenRead waits as long as [syscalls.AwaitLease] does.
func (p *Location) OpenRead(ctx context.Context) (int, error) {
	fd, err := syscalls.AwaitLease(ctx, func() (int, error) { return p.openReadOnce(ctx) })
	return fd, OfName(err)
}

// openReadOnce is OpenRead without a wait for a lease: its error is EAGAIN.
func (p *Location) openReadOnce(ctx context.Context) (int, error) {
	fd, err := sys.Reopen(p.FD)
	if !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.ESTALE) || p.Dir() == NoDir {
		return fd, err
	}
	for i := range retry.Attempts {
		if i > 0 { // only now, as much may have happened during the pause
			p.CloseFD()
			if err := p.OpenPath(); err != nil {
				return -1, err
			}
		}
		fd, err = p.openByName(sys.OpenRead)
		if !errors.Is(err, syscall.ESTALE) {
			break
		}
		if err := retry.Pause(ctx, i); err != nil {
			return -1, err
		}
	}
	return fd, err
}

// openName is OpenRead or OpenReadWrite.
type openName func(dir int, base string) (int, error)

// unreachableError is the error of a file that is open for looking only and cannot be opened
// otherwise: /proc is missing, or the server goes by names, and the name does not lead to it.
type unreachableError struct{ error }

func (e unreachableError) Unwrap() error { return e.error }

// Unreachable marks an error as that of a file that cannot be opened.
func Unreachable(err error) error { return unreachableError{err} }

// IsUnreachable reports whether Unreachable marked the error.
func IsUnreachable(err error) bool { return errors.As(err, new(unreachableError)) }

// Reopen opens the file at p again: through its descriptor, by open, or, if that is not possible,
// by its name. It does not wait for a lease of another process: the error is EAGAIN.
func (p *Location) Reopen(open func(fd int) (int, error), byName openName) (int, error) {
	fd, err := open(p.FD)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.ESTALE) {
		return p.OpenByName(byName)
	}
	return fd, err
}

// OpenByName opens the file at p by its name. An error is marked as Unreachable.
func (p *Location) OpenByName(open openName) (int, error) {
	fd, err := p.openByName(open)
	if err != nil {
		err = Unreachable(err)
	}
	return fd, err
}

// openByName opens what has the name, by OpenRead or OpenReadWrite. If that is another file than
// the one at hand, the error is ESTALE.
func (p *Location) openByName(open openName) (int, error) {
	fd, err := open(p.DirFD, p.Name)
	if errors.Is(err, fs.ErrNotExist) {
		now := Location{DirFD: p.DirFD, Name: p.Name, FD: -1}
		if now.OpenPathOnce() == nil {
			_ = syscalls.Close(now.FD)
			err = syscall.ESTALE // as in OpenPathOnce
		}
	}
	if err != nil {
		return -1, err
	}
	st, err := sys.Fstat(fd)
	if err == nil && !SameInode(st, p.Stat) {
		err = syscall.ESTALE
	}
	if err == nil && !st.Mode.IsRegular() {
		err = NotRegular(st.Mode)
	}
	if err != nil {
		_ = syscalls.Close(fd)
		return -1, err
	}
	return fd, nil
}

func NotRegular(mode fs.FileMode) error {
	if mode.IsDir() {
		return syscall.EISDIR
	}
	kind := "an irregular file"
	switch mode.Type() {
	case fs.ModeNamedPipe:
		kind = "a FIFO"
	case fs.ModeSocket:
		kind = "a socket"
	case fs.ModeDevice:
		kind = "a block device"
	case fs.ModeDevice | fs.ModeCharDevice:
		kind = "a character device"
	case fs.ModeSymlink:
		kind = "a symbolic link"
	}
	return fmt.Errorf("%s, not a regular file: %w", kind, fs.ErrInvalid)
}

// SameVersion reports whether a file has stayed the same, as far as its attributes tell.
func SameVersion(a, b syscalls.Stat) bool {
	return SameInode(a, b) && a.Size == b.Size && a.Mtime.Equal(b.Mtime) && a.Ctime.Equal(b.Ctime)
}

// SameInode reports whether two descriptions are of one file.
func SameInode(a, b syscalls.Stat) bool { return a.Dev == b.Dev && a.Ino == b.Ino }

// IsGone reports whether a call failed because the file behind a descriptor was replaced or removed
// on a server that goes by names: NFS says ESTALE, FUSE servers ENOENT.
func IsGone(err error) bool {
	return errors.Is(err, syscall.ESTALE) || errors.Is(err, fs.ErrNotExist)
}
