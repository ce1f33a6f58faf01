package pathname

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// Resolve follows name to a regular file, or with create to where one may be made. It opens
// nothing that blocks or has effects: a FIFO, a device or a file under a lease is only looked
// at.
//
// A symbolic link is followed twice: by hand, to learn the directory and the name it leads to,
// and by the kernel, whose word counts. The kernel enforces fs.protected_symlinks (proc(5)),
// and it knows where a link in /proc/self/fd leads, whose text may be the name of another file
// by now. If the two disagree, the place has the kernel's file and no directory.
func Resolve(name string, create bool) (*Location, error) {
	if name == "" {
		return nil, syscall.ENOENT
	}
	p, err := Lookup(syscalls.AtFdcwd, name, create)
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
		p, err = p.follow(name, create)
		if err != nil {
			return nil, err
		}
	}
	if p.FD >= 0 && !p.Stat.Mode.IsRegular() {
		p.Close()
		return nil, NotRegular(p.Stat.Mode)
	}
	return p, nil
}

// follow returns where the symbolic link at p leads, whose name was given, and closes p.
func (p *Location) follow(name string, create bool) (*Location, error) {
	slash := name[len(strings.TrimRight(name, "/")):] // whoever writes that wants a directory
	file, err := sys.OpenPathFollow(p.DirFD, p.Name+slash)
	if err != nil && !(create && errors.Is(err, fs.ErrNotExist)) {
		p.Close()
		return nil, err
	}
	manual, manualErr := p.followManually(name, create)
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

func (p *Location) followManually(name string, create bool) (*Location, error) {
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
		name = target
		next, err := Lookup(p.DirFD, name, create)
		p.Close()
		if err != nil || !next.isLink() {
			return next, err
		}
		p = next
	}
	p.Close()
	return nil, syscall.ELOOP
}

func (p *Location) isLink() bool {
	return p.FD >= 0 && p.Stat.Mode.Type() == fs.ModeSymlink
}

// Lookup opens the directory part of name, which starts at the directory at, and looks at what
// is there.
func Lookup(at int, name string, create bool) (*Location, error) {
	dir, base := Split(name)
	fd, err := sys.OpenDir(at, dir)
	if err != nil {
		return nil, err
	}
	p := &Location{DirFD: fd, Name: base, FD: -1}
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
