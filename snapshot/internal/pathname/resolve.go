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

// Resolve follows name to a regular file, or with create to where one may be made. It opens
// nothing that blocks or has effects: a FIFO, a device or a file under a lease is only looked
// at.
//
// If root is not nil, name is looked up below it and never leads out of it: the error is then the
// error of os.Root, "path escapes from parent". That holds beside renames of directories, too.
//
// A symbolic link is followed twice: by hand, to learn the directory and the name it leads to,
// and by the kernel, whose word counts. The kernel enforces fs.protected_symlinks (proc(5)),
// and it knows where a link in /proc/self/fd leads, whose text may be the name of another file
// by now. If the two disagree, the place has the kernel's file and no directory.
func Resolve(root *os.Root, name string, create bool) (*Location, error) {
	s, done, err := startAt(root)
	if err != nil {
		return nil, err
	}
	defer done()
	for range retry.Attempts - 1 {
		p, err := s.resolve(name, create)
		// Below a root, where links of /proc are not followed, only a rename makes the two ways
		// disagree.
		if root == nil || err != nil || p.DirFD != NoDir {
			return p, OfName(err)
		}
		p.Close()
	}
	p, err := s.resolve(name, create)
	return p, OfName(err)
}

// ResolveFile is Resolve of a file that exists. Where that can be, it looks the whole name up by
// one call, and Location.Dir opens the directory, by its name, when it is needed: it may be
// another one by then, which is as good for a private file, and no other file is taken for this
// one.
func ResolveFile(root *os.Root, name string) (*Location, error) {
	if root == nil {
		p := &Location{DirFD: syscalls.AtFdcwd, Name: name}
		if err := p.OpenPathOnce(); err == nil {
			p.DirFD = NoDir
			if p.Stat.Mode.IsRegular() {
				if err := CheckReadable(p.FD, p.Stat); err != nil {
					p.Close()
					return nil, OfName(err)
				}
				p.Unopened, p.Name = Split(name)
				return p, nil
			}
			p.CloseFD() // Resolve follows a symbolic link, and has the error for the others
		}
	}
	return Resolve(root, name, false)
}

func (s start) resolve(name string, create bool) (*Location, error) {
	p, err := s.lookup(name, create)
	if err != nil {
		return nil, err
	}
	if p.isLink() {
		if create {
			// As with fs.protected_symlinks, whatever that is set to: the link could lead to a file
			// of the user who put it there.
			if err := p.CheckSticky(); err != nil {
				p.Close()
				return nil, err
			}
		}
		p, err = s.follow(p, name, create)
		if err != nil {
			return nil, err
		}
	}
	if p.FD >= 0 {
		if err := CheckReadable(p.FD, p.Stat); err != nil {
			p.Close()
			return nil, err
		}
	}
	return p, nil
}

// follow returns where the symbolic link at p leads, whose name was given, and closes p.
func (s start) follow(p *Location, name string, create bool) (*Location, error) {
	file, err := s.openFollow(p, name)
	if err != nil && !(create && errors.Is(err, fs.ErrNotExist)) {
		p.Close()
		return nil, err
	}
	manual, manualErr := s.followManually(p, name, create)
	if file < 0 {
		return manual, manualErr
	}
	stat, err := sys.Fstat(file)
	if err == nil && manualErr == nil && manual.FD >= 0 && SameInode(manual.Stat, stat) {
		_ = syscalls.Close(file)
		return manual, nil
	}
	if manualErr == nil {
		manual.Close()
	}
	if err != nil {
		_ = syscalls.Close(file)
		return nil, err
	}
	return &Location{DirFD: NoDir, FD: file, Stat: stat}, nil
}

// openFollow opens what the symbolic link at p, whose name was given, leads to.
func (s start) openFollow(p *Location, name string) (int, error) {
	if s.root != nil {
		return s.openBeneath(name)
	}
	slash := name[len(strings.TrimRight(name, "/")):] // which asks for a directory
	return sys.OpenPathFollow(p.DirFD, p.Name+slash)
}

func (s start) followManually(p *Location, name string, create bool) (*Location, error) {
	for range syscalls.MaxLinks {
		target, err := sys.Readlinkat(p.FD)
		if err == nil && create {
			err = p.CheckSticky()
		}
		if err != nil {
			p.Close()
			return nil, err
		}
		if strings.HasSuffix(name, "/") {
			target += "/"
		}
		at := start{fd: p.DirFD}
		if s.root != nil {
			// From the root, because ".." may lead out of the directory of the link.
			at = s
			if dir, _ := Split(name); !strings.HasPrefix(target, "/") {
				target = dir + "/" + target
			}
		}
		name = target
		next, err := at.lookup(name, create)
		p.Close()
		if err != nil || !next.isLink() {
			return next, err
		}
		p = next
	}
	p.Close()
	return nil, syscall.ELOOP
}

// Lookup opens the directory part of name and looks at the file or symbolic link that has the name.
// If root is not nil, name is looked up below it, as with Resolve.
func Lookup(root *os.Root, name string, create bool) (*Location, error) {
	s, done, err := startAt(root)
	if err != nil {
		return nil, err
	}
	defer done()
	p, err := s.lookup(name, create)
	return p, OfName(err)
}

func (s start) lookup(name string, create bool) (*Location, error) {
	if name == "" {
		return nil, syscall.ENOENT
	}
	p, err := s.openParent(name)
	if err != nil {
		return nil, err
	}
	if p.FD >= 0 {
		return p, nil
	}
	if err := p.OpenPath(); err != nil && !(create && errors.Is(err, fs.ErrNotExist)) {
		p.Close()
		return nil, err
	}
	if strings.HasSuffix(name, "/") && (p.FD < 0 || p.Stat.Mode.IsRegular()) {
		p.Close()
		return nil, syscall.ENOTDIR
	}
	return p, nil
}

// openParent opens the directory part of name. Below a root, for a name that ends with "." or
// "..", it opens the directory that has the name, because its parent may lie outside.
func (s start) openParent(name string) (*Location, error) {
	dir, base := Split(name)
	if s.root == nil {
		fd, err := sys.OpenDir(s.fd, dir)
		return &Location{DirFD: fd, Name: base, FD: -1}, err
	}
	if base != "." && base != ".." {
		fd, err := s.openBeneath(dir + "/")
		return &Location{DirFD: fd, Name: base, FD: -1}, err
	}
	fd, err := s.openBeneath(name + "/")
	if err != nil {
		return nil, err
	}
	p := &Location{DirFD: NoDir, Name: base, FD: fd}
	if p.Stat, err = sys.Fstat(fd); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Split cuts a name into its directory and the last element. Unlike filepath.Split it never
// returns an empty part, and it does not clean: "a/../b" means what it means to the kernel.
func Split(name string) (dir, base string) {
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
