package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// maxLinks is how many symbolic links the kernel follows in one name (path_resolution(7)).
const maxLinks = 40

// noDir stands for the directory of a file that is not known to lie in one.
const noDir = -1

// A place is where a name led when it was resolved: an open directory, and a name in it that is
// not a symbolic link. It stays right when the working directory changes or a link is turned
// elsewhere.
type place struct {
	dir  int // of OpenDir; noDir if the name led to a file by no name: see resolve
	base string
	file int // of OpenPath, or -1: no file has the name
	stat syscalls.Stat
}

func (p *place) close() {
	if p.dir != noDir {
		_ = syscalls.Close(p.dir)
	}
	p.closeFile()
}

func (p *place) closeFile() {
	if p.file >= 0 {
		_ = syscalls.Close(p.file)
		p.file = -1
	}
}

// resolve follows name to a regular file, or with create to where one may be made. It opens
// nothing that blocks or has effects: a FIFO, a device or a file under a lease is only looked
// at.
//
// A symbolic link is followed twice: by hand, to learn the directory and the name it leads to,
// and by the kernel, whose word counts. The kernel enforces fs.protected_symlinks (proc(5)),
// and it knows where a link in /proc/self/fd leads, whose text may be the name of another file
// by now. If the two disagree, the place has the kernel's file and no directory.
func resolve(name string, create bool) (*place, error) {
	if name == "" {
		return nil, syscall.ENOENT
	}
	p, err := lookup(syscalls.AtFdcwd, name, create)
	if err != nil {
		return nil, err
	}
	if p.isLink() {
		if create {
			// As with fs.protected_symlinks, whatever that is set to: the link could lead to a file
			// of the user who put it there.
			if err := p.mayReplace(); err != nil {
				p.close()
				return nil, err
			}
		}
		p, err = p.follow(name, create)
		if err != nil {
			return nil, err
		}
	}
	if p.file >= 0 && !p.stat.Mode.IsRegular() {
		p.close()
		return nil, notRegular(p.stat.Mode)
	}
	return p, nil
}

// follow returns where the symbolic link at p leads, whose name was given, and closes p.
func (p *place) follow(name string, create bool) (*place, error) {
	slash := name[len(strings.TrimRight(name, "/")):] // whoever writes that wants a directory
	file, err := sysOpenPathFollow(p.dir, p.base+slash)
	if err != nil && !(create && errors.Is(err, fs.ErrNotExist)) {
		p.close()
		return nil, err
	}
	hand, handErr := p.followByHand(name, create)
	if file < 0 {
		return hand, handErr
	}
	stat, err := sysFstat(file)
	if err == nil && handErr == nil && hand.file >= 0 && sameInode(hand.stat, stat) {
		_ = syscalls.Close(file)
		return hand, nil
	}
	if handErr == nil {
		hand.close()
	}
	if err != nil {
		_ = syscalls.Close(file)
		return nil, err
	}
	return &place{dir: noDir, file: file, stat: stat}, nil
}

func (p *place) followByHand(name string, create bool) (*place, error) {
	for range maxLinks {
		target, err := sysReadlinkat(p.file)
		if err == nil && create {
			err = p.mayReplace()
		}
		if err != nil {
			p.close()
			return nil, err
		}
		if strings.HasSuffix(name, "/") {
			target += "/"
		}
		name = target
		next, err := lookup(p.dir, name, create)
		p.close()
		if err != nil || !next.isLink() {
			return next, err
		}
		p = next
	}
	p.close()
	return nil, syscall.ELOOP
}

func (p *place) isLink() bool {
	return p.file >= 0 && p.stat.Mode.Type() == fs.ModeSymlink
}

// needDir returns an error if there is no directory that a commit could go to.
func (p *place) needDir() error {
	if p.dir == noDir {
		return fmt.Errorf("the symbolic link leads to a file by no name: %w", fs.ErrInvalid)
	}
	return nil
}

// lookup opens the directory part of name, which starts at the directory at, and looks at what
// is there.
func lookup(at int, name string, create bool) (*place, error) {
	dir, base := split(name)
	fd, err := sysOpenDir(at, dir)
	if err != nil {
		return nil, err
	}
	p := &place{dir: fd, base: base, file: -1}
	if err := p.look(); err != nil && !(create && errors.Is(err, fs.ErrNotExist)) {
		p.close()
		return nil, err
	}
	if strings.HasSuffix(name, "/") && (p.file < 0 || p.stat.Mode.IsRegular()) {
		p.close()
		return nil, syscall.ENOTDIR
	}
	return p, nil
}

// look opens the file that has the name now.
func (p *place) look() (err error) {
	for i := range attempts {
		err = p.lookOnce()
		if !errors.Is(err, syscall.ESTALE) {
			break
		}
		time.Sleep(time.Millisecond << i)
	}
	return err
}

// lookOnce says ESTALE for a file that was replaced as soon as it was found, on a server that goes
// by names: NFS says that, FUSE perhaps ENOENT, which it would be a mistake to take for a name that
// is free.
func (p *place) lookOnce() error {
	file, err := sysOpenPath(p.dir, p.base)
	if err != nil {
		return err
	}
	stat, err := sysFstat(file)
	if err != nil {
		_ = syscalls.Close(file)
		if errors.Is(err, fs.ErrNotExist) {
			err = os.NewSyscallError("fstat", syscall.ESTALE)
		}
		return err
	}
	p.file, p.stat = file, stat
	return nil
}

// open opens the file for reading. Without /proc, or if the file has been replaced by now on a
// server that goes by names, that goes by the name alone, which may lead to another file from one
// moment to the next: then that one is looked at and opened.
func (p *place) open(ctx context.Context) (int, error) {
	fd, err := sysReopen(p.file)
	if p.dir == noDir || !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.ESTALE) {
		return fd, err
	}
	for i := range attempts {
		if i > 0 { // only now, as much may have happened during the pause
			p.closeFile()
			if err := p.look(); err != nil {
				return -1, err
			}
		}
		fd, err = p.openByName(sysOpenRead)
		if !errors.Is(err, syscall.ESTALE) &&
			!errors.Is(err, syscall.EAGAIN) { // a lease that keeps readers out; it is being broken
			break
		}
		if err := pause(ctx, i); err != nil {
			return -1, err
		}
	}
	return fd, err
}

// openName is OpenRead or OpenReadWrite.
type openName func(dir int, base string) (int, error)

// unreachable is the error of a file that is open for looking only and cannot be opened otherwise:
// /proc is missing, or the server goes by names, and the name does not lead to it.
type unreachable struct{ error }

func (e unreachable) Unwrap() error { return e.error }

// markUnreachable marks an error as that of a file that cannot be opened.
func markUnreachable(err error) error { return unreachable{err} }

// isUnreachable reports whether markUnreachable marked the error.
func isUnreachable(err error) bool { return errors.As(err, new(unreachable)) }

// reopen opens the file at p again: through its descriptor, by open, or, if that is not possible,
// by its name.
func (p *place) reopen(open func(fd int) (int, error), byName openName) (int, error) {
	fd, err := open(p.file)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.ESTALE) {
		if fd, err = p.openByName(byName); err != nil {
			err = markUnreachable(err)
		}
	}
	return fd, err
}

// openByName opens what has the name, by OpenRead or OpenReadWrite. If that is another file than
// the one at hand, the error is ESTALE.
func (p *place) openByName(open openName) (int, error) {
	fd, err := open(p.dir, p.base)
	if errors.Is(err, fs.ErrNotExist) {
		now := place{dir: p.dir, base: p.base, file: -1}
		if now.look() == nil {
			_ = syscalls.Close(now.file)
			err = syscall.ESTALE // as in lookOnce
		}
	}
	if err != nil {
		return -1, err
	}
	st, err := sysFstat(fd)
	if err == nil && !sameInode(st, p.stat) {
		err = syscall.ESTALE
	}
	if err == nil && !st.Mode.IsRegular() {
		err = notRegular(st.Mode)
	}
	if err != nil {
		_ = syscalls.Close(fd)
		return -1, err
	}
	return fd, nil
}

// split cuts a name into its directory and the last element. Unlike filepath.Split it never
// returns an empty part, and it does not clean: "a/../b" means what it means to the kernel.
func split(name string) (dir, base string) {
	trimmed := strings.TrimRight(name, "/")
	if trimmed == "" {
		return "/", "."
	}
	i := strings.LastIndexByte(trimmed, '/')
	switch i {
	case -1:
		return ".", trimmed
	case 0:
		return "/", trimmed[1:]
	}
	return trimmed[:i], trimmed[i+1:]
}

func notRegular(mode fs.FileMode) error {
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

// same reports whether a file has stayed the same, as far as its attributes tell.
func same(a, b syscalls.Stat) bool {
	return sameInode(a, b) && a.Size == b.Size && a.Mtime.Equal(b.Mtime) && a.Ctime.Equal(b.Ctime)
}

// sameInode reports whether two descriptions are of one file.
func sameInode(a, b syscalls.Stat) bool { return a.Dev == b.Dev && a.Ino == b.Ino }

// gone reports whether a call failed because the file behind a descriptor was replaced or removed
// on a server that goes by names: NFS says ESTALE, FUSE servers ENOENT.
func gone(err error) bool {
	return errors.Is(err, syscall.ESTALE) || errors.Is(err, fs.ErrNotExist)
}
