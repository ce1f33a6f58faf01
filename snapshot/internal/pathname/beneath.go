package pathname

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A start is where names begin: any directory, or a root that names must not lead out of.
type start struct {
	fd   int // AtFdcwd or a directory
	root *os.Root
}

// startAt returns where names below root begin, or, if root is nil, names that the working
// directory completes. The caller calls done when it needs the start no longer.
func startAt(root *os.Root) (s start, done func(), err error) {
	if root == nil {
		return start{fd: syscalls.AtFdcwd}, func() {}, nil
	}
	dir, err := root.OpenFile(".", syscalls.OPath, 0)
	if err != nil {
		return s, nil, bare(err)
	}
	return start{int(dir.Fd()), root}, func() { _ = dir.Close() }, nil
}

// bare returns the cause of an error of package os, which names operation and path itself.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// escape is the error of os.Root for a name that leads out of it. Only package os can make it, and
// makes it for an absolute name without a look at any file.
func (s start) escape() error {
	if _, err := s.root.Lstat("/"); err != nil {
		return bare(err)
	}
	return fs.ErrInvalid
}

// openBeneath opens what name leads to below the root with O_PATH, and follows symbolic links. A
// name that ends with a slash leads to a directory.
//
// The kernel does so (openat2), or else walk: if openat2 is not available, or if a rename disturbs
// it each time.
func (s start) openBeneath(name string) (int, error) {
	if strings.HasPrefix(name, "/") {
		return -1, s.escape()
	}
	for range retry.Attempts {
		fd, err := sys.OpenPathBeneath(s.fd, name)
		switch {
		case errors.Is(err, syscall.EAGAIN):
			continue // without a pause: a call takes microseconds, and walk needs no luck
		case errors.Is(err, syscall.EXDEV):
			return -1, s.escape()
		case errors.Is(err, syscall.ELOOP):
			return -1, s.explainLoop(name, err)
		case errors.Is(err, errors.ErrUnsupported):
			return s.walk(name)
		}
		return fd, err
	}
	return s.walk(name)
}

// explainLoop returns the error for a name for which openat2 fails with loop, an ELOOP. A link of
// /proc is ELOOP for openat2, but an escape for os.Root, which goes by its text. The kernel forbids
// other links, too (mount(8), nosymfollow): whatever else walk finds behind them, also that nothing
// is there, the name stays ELOOP.
func (s start) explainLoop(name string, loop error) error {
	fd, err := s.walk(name)
	if err == nil {
		_ = syscalls.Close(fd)
		return loop
	}
	if escape := s.escape(); errors.Is(err, escape) {
		return escape
	}
	return loop
}

// maxDepth is how many directories below the root walk keeps open at most, as many as os.Root
// goes through in one name before it limits the number of "..".
const maxDepth = 255

// walk does what openBeneath does, by opening one component after the other. It never opens "..",
// as the directory may have been moved: it goes back to the directory that it came from.
func (s start) walk(name string) (int, error) {
	top, err := sys.OpenDir(s.fd, ".")
	if err != nil {
		return -1, err
	}
	path := []*Location{{DirFD: NoDir, FD: top}} // the root, and what each component led to
	defer func() {
		for _, p := range path {
			p.CloseFD()
		}
	}()
	if path[0].Stat, err = sys.Fstat(top); err != nil {
		return -1, err
	}
	links := 0
	for rest := strings.Split(name, "/"); len(rest) > 0; {
		dir, component := path[len(path)-1], rest[0]
		rest = rest[1:]
		if !dir.Stat.Mode.IsDir() {
			return -1, syscall.ENOTDIR
		}
		switch component {
		case "", ".":
			continue
		case "..":
			if len(path) == 1 {
				return -1, s.escape()
			}
			dir.CloseFD()
			path = path[:len(path)-1]
			continue
		}
		if len(path) > maxDepth {
			return -1, syscall.ENAMETOOLONG
		}
		next := &Location{DirFD: dir.FD, Name: component, FD: -1}
		if err := next.OpenPath(); err != nil {
			return -1, err
		}
		if !next.isLink() {
			path = append(path, next)
			continue
		}
		target, err := next.readLink(dir.Stat)
		next.CloseFD()
		if links++; err == nil && links > syscalls.MaxLinks {
			err = syscall.ELOOP
		}
		if err == nil && strings.HasPrefix(target, "/") {
			err = s.escape()
		}
		if err != nil {
			return -1, err
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	last := path[len(path)-1]
	path = path[:len(path)-1]
	return last.FD, nil
}

// readLink returns where the symbolic link at p leads, which lies in the directory dir, or an error
// if the kernel would not follow it.
func (p *Location) readLink(dir syscalls.Stat) (string, error) {
	if err := p.checkProtectedLink(dir); err != nil {
		return "", err
	}
	if no, err := sys.NoSymfollow(p.FD); no && err == nil {
		return "", syscall.ELOOP
	}
	return sys.Readlinkat(p.FD)
}
