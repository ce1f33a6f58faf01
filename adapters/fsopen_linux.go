package adapters

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// openBase opens the directory that root is.
func openBase(root *os.Root) (*os.File, error) { return root.OpenFile(".", syscalls.OPath, 0) }

// lookUp returns the file that name leads to, without opening it: a FIFO does not block, a
// device does not notice. The caller opens this very file, whatever becomes of the name. dir is the
// directory that root is.
func lookUp(root *os.Root, dir *os.File, name string) (*os.File, syscalls.Stat, error) {
	conn, err := dir.SyscallConn()
	if err != nil {
		return nil, syscalls.Stat{}, err
	}
	var fd int
	if conn.Control(func(at uintptr) { fd, err = syscalls.OpenPathBeneath(int(at), name) }) != nil {
		return nil, syscalls.Stat{}, fs.ErrClosed
	}
	for _, e := range []error{errors.ErrUnsupported, syscall.EAGAIN, syscall.EXDEV} {
		if errors.Is(err, e) { // Root needs no openat2, and has the error for a name that leads out
			return lookUpByHand(root, name)
		}
	}
	if errors.Is(err, syscall.ELOOP) && isEscape(root, name) {
		return nil, syscalls.Stat{}, errEscape(root)
	}
	if err != nil {
		// os.IsNotExist finds no errno in a SyscallError.
		return nil, syscalls.Stat{}, errors.Unwrap(err)
	}
	f := os.NewFile(uintptr(fd), name)
	st, err := syscalls.Fstat(fd)
	if err != nil {
		_ = f.Close()
		return nil, st, stale(err)
	}
	return f, st, nil
}

// isEscape reports whether name leads out of root by the text of a link that openat2 does not
// follow: a link of /proc.
func isEscape(root *os.Root, name string) bool {
	f, _, err := lookUpByHand(root, name)
	if err == nil {
		_ = f.Close()
	}
	return errors.Is(err, errors.Unwrap(errEscape(root)))
}

// lookUpByHand is lookUp by the calls of Root.
//
// Root follows links in the directories of name. The last one has to be followed here, because
// O_PATH with O_NOFOLLOW, which Root adds, opens the link itself.
func lookUpByHand(root *os.Root, name string) (*os.File, syscalls.Stat, error) {
	for range syscalls.MaxLinks {
		f, err := root.OpenFile(name, syscalls.OPath, 0)
		if err != nil {
			return nil, syscalls.Stat{}, err
		}
		st, err := syscalls.Fstat(int(f.Fd()))
		if err == nil && st.Mode.Type() != fs.ModeSymlink {
			return f, st, nil
		}
		_ = f.Close()
		if err != nil {
			return nil, syscalls.Stat{}, stale(err)
		}
		target, err := root.Readlink(name)
		switch {
		case errors.Is(err, syscall.EINVAL): // no link any more
		case err != nil:
			return nil, syscalls.Stat{}, err
		case strings.HasPrefix(target, "/"):
			name = target // Root has the error for it
		default:
			// Not path.Join: ".." behind a link means the directory that the link leads to.
			name = name[:strings.LastIndexByte(strings.TrimRight(name, "/"), '/')+1] + target
		}
	}
	return nil, syscalls.Stat{}, syscall.ELOOP
}

// openDir opens a directory, and nothing that is none. dir is the directory that root is.
//
// The entries that it is read for are described by root: see dirEntry. An os.File of root would
// look at each of them when it is read.
func openDir(root *os.Root, dir *os.File, name string) (*os.File, error) {
	conn, err := dir.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	open := func(at uintptr) { fd, err = syscalls.OpenDirBeneath(int(at), name) }
	if conn.Control(open) == nil && err == nil {
		return os.NewFile(uintptr(fd), path.Join(root.Name(), name)), nil
	}
	// Root needs no openat2, and has the error.
	return root.OpenFile(name, os.O_RDONLY|syscall.O_DIRECTORY, 0)
}

// hasProc reports whether /proc has a link to an open file.
func hasProc(f *os.File) bool {
	_, err := syscalls.FDPath(int(f.Fd()))
	return err == nil
}

// isOf reports whether a snapshot is one of the file found.
func isOf(m *snapshot.Mmap, found *os.File) bool {
	info, err := m.Stat()
	if err != nil {
		return false
	}
	is, ok := info.Sys().(*syscall.Stat_t)
	st, err := syscalls.Fstat(int(found.Fd()))
	return ok && err == nil && uint64(is.Dev) == st.Dev && is.Ino == st.Ino //nolint:unconvert // MIPS
}

// stat describes the file that name, below the root, leads to, and returns the version of its
// contents, or "".
func (f *FS) stat(name string) (fs.FileInfo, string, error) {
	found, st, err := lookUp(f.root, f.dir, name)
	if err != nil {
		return nil, "", err
	}
	defer found.Close()
	now, err := syscalls.CoarseNow()
	if err == nil {
		st, err = f.shared.refresh(found, st)
	}
	if err != nil {
		return nil, "", err
	}
	info, err := found.Stat()
	if err != nil {
		return nil, "", err
	}
	is := info.ModTime().Equal(st.Mtime) && info.Size() == st.Size // else, changed just now
	if !is || !st.Mode.IsRegular() || !isSettled(st, now) {
		return info, "", nil
	}
	return info, identify(st).version(), nil
}
