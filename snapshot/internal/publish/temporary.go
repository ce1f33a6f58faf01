package publish

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A Temporary is a file that is made ready, in its directory, to get a name. It has none until
// then, or, where the filesystem knows no unnamed files (O_TMPFILE), a temporary one.
type Temporary struct {
	FD    int // -1 once it is closed
	Name  string
	Spent bool // it must not be published any more: see Ready
	dir   int
	owner func() error // closes it; nil if it is ours
}

// Ready is the complete, unnamed file fd, which is to get a name in the directory dir. closeFile is
// called as soon as it has got it. If it gets none, it may be Spent: it may have had a temporary
// name, after which the kernel gives it no other; and it may have attributes of a file that was to
// be replaced, which it must not have if it is new in every respect the next time.
func Ready(fd, dir int, closeFile func() error) *Temporary {
	return &Temporary{FD: fd, dir: dir, owner: closeFile}
}

// newTemporary makes an empty one that is to get the name at p, and later the attributes want, or
// if that is nil has the mode perm. With withName, it has a temporary name from the start in any
// case.
func newTemporary(
	p *pathname.Location, want *Attributes, perm uint32, withName bool,
) (*Temporary, error) {
	dir := p.DirFD
	if want != nil { // no other user may open it before it has its owner and mode
		perm = 0
	}
	if !withName {
		fd, err := sys.Tmpfile(dir, perm)
		if !errors.Is(err, errors.ErrUnsupported) {
			return &Temporary{FD: fd, dir: dir}, makeError(dir, err)
		}
	}
	if err := checkNotAppendOnly(dir); err != nil {
		return nil, err
	}
	if want != nil {
		perm = 0o600 // the owner must be able to look at what a crash left
	}
	t := &Temporary{dir: dir}
	clear := func(name string) bool {
		if want == nil {
			return removeLeftover(dir, name, uint32(os.Geteuid()))
		}
		return removeLeftover(dir, name, want.UID)
	}
	err := withTempName(p.Name, clear, func(name string) (err error) {
		if t.FD, err = sys.CreateExcl(dir, name, perm); err != nil {
			if !errors.Is(err, fs.ErrExist) {
				// It may be there all the same: on a server, opening it can fail once it was made.
				clear(name)
			}
			return err
		}
		t.Name = name
		locked, err := t.lock()
		if err == nil && !locked {
			_ = t.close()
			return fs.ErrExist
		}
		if err != nil {
			t.discard()
		}
		return err
	})
	return t, makeError(dir, err)
}

// makeError returns the error of making a file in the directory dir. In a directory that was
// removed it is EPERM on ext4 and ENOENT elsewhere.
func makeError(dir int, err error) error {
	switch {
	case !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrNotExist):
		return err
	case isRemoved(dir):
		return fmt.Errorf("the directory was removed: %w", syscall.ENOENT)
	case errors.Is(err, fs.ErrPermission):
		return pathname.OfDir(dir, err)
	}
	return err
}

// lock tells others that the name is in use, and reports whether it is still t's: until then it
// looks like one that a crash left, and somebody may have removed it, or be about to.
func (t *Temporary) lock() (bool, error) {
	err := sys.TryFlock(t.FD)
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return false, nil
	case errors.Is(err, errors.ErrUnsupported),
		errors.Is(err, syscall.ENOLCK): // NFS without its lock service: nobody gets a lock, so nobody removes anything
	case err != nil:
		return false, err
	}
	now := pathname.Location{DirFD: t.dir, Name: t.Name, FD: -1}
	if err := now.OpenPath(); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return false, err
	}
	defer now.CloseFD()
	own, err := sys.Fstat(t.FD)
	return pathname.SameInode(now.Stat, own), err
}

// discard gives up what has not got its name.
func (t *Temporary) discard() {
	if t.Name != "" {
		_ = sys.Unlinkat(t.dir, t.Name)
	}
	if t.FD >= 0 {
		_ = t.close()
	}
}

// close closes it, which ends the lock on a temporary name.
func (t *Temporary) close() (err error) {
	if t.owner != nil {
		err = t.owner()
	} else {
		_ = syscalls.Close(t.FD)
	}
	t.FD = -1
	return err
}

// A modeChange says which bits of a mode to clear and which to set then.
type modeChange struct{ clear, set uint32 }

func (c modeChange) of(perm uint32) uint32 { return perm&^c.clear | c.set }

// apply changes the mode of a file.
func (c modeChange) apply(fd int) error {
	if c == (modeChange{}) {
		return nil
	}
	own, err := sys.Fstat(fd)
	if err != nil {
		return err
	}
	return sys.Fchmod(fd, c.of(own.Perm))
}

// complete gives t the attributes want, or if that is nil changes its mode. It brings t to the disk
// and returns what it is now.
func (t *Temporary) complete(
	want *Attributes, mode modeChange,
) (*Attributes, syscalls.Stat, error) {
	var err error
	if want != nil {
		err = want.apply(t.FD)
	} else {
		err = mode.apply(t.FD)
	}
	if err != nil {
		return nil, syscalls.Stat{}, err
	}
	if err := sys.Fsync(t.FD); err != nil {
		return nil, syscalls.Stat{}, syncError{err}
	}
	stat, err := sys.Fstat(t.FD)
	if err != nil {
		return nil, syscalls.Stat{}, err
	}
	given := want
	if given == nil {
		given, err = ReadAttributes(t.FD)
		if errors.Is(err, syscall.EIO) {
			// The filesystem has no list of extended attributes. The new file needs none; if a later
			// commit has to keep those of the file, it meets the error.
			given, err = &Attributes{UID: stat.UID, GID: stat.GID, Perm: stat.Perm}, nil
		}
		if err != nil {
			return nil, syscalls.Stat{}, err
		}
	}
	perm := given.Perm
	if want == nil {
		perm = mode.of(perm)
	}
	if stat.Perm != perm {
		// The kernel drops the set-group-ID bit without a word if the caller is not in the group.
		err = fmt.Errorf("mode %#o cannot be set: %w", perm, fs.ErrPermission)
	}
	return given, stat, err
}

// openPath returns a descriptor of OpenPath of t itself, which stat describes: by the name, if t
// has that, or else through /proc.
func (t *Temporary) openPath(name string, stat syscalls.Stat) (int, error) {
	if name == "" {
		return sys.OpenPathFollow(syscalls.AtFdcwd, fmt.Sprintf("/proc/self/fd/%d", t.FD))
	}
	now := pathname.Location{DirFD: t.dir, Name: name, FD: -1}
	if err := now.OpenPathOnce(); err != nil {
		return -1, err
	}
	if !pathname.SameInode(now.Stat, stat) {
		now.CloseFD()
		return -1, fmt.Errorf("%w: another file has the name %s", ErrConflict, name)
	}
	return now.FD, nil
}

// link gives t, which stat describes, the name base, which must be free. It returns a descriptor of
// OpenPath of t, or -1 if t has the name but none could be had.
func (t *Temporary) link(base string, stat syscalls.Stat) (file int, err error) {
	file, err = t.openPath(t.Name, stat)
	if err != nil && t.Name != "" {
		return -1, err
	}
	defer func() {
		if err != nil && file >= 0 {
			_ = syscalls.Close(file)
			file = -1
		}
	}()
	err = errors.ErrUnsupported
	if t.Name != "" {
		err = sys.RenameNoReplace(t.dir, t.Name, base)
		if err == nil {
			t.Name = ""
		}
	}
	if errors.Is(err, errors.ErrUnsupported) {
		err = sys.Linkat(t.FD, t.dir, base)
		if err == nil && t.Name != "" && sys.Unlinkat(t.dir, t.Name) == nil {
			t.Name = ""
		}
	}
	if err == nil && file < 0 { // there is no /proc
		file, _ = t.openPath(base, stat)
	}
	return file, nameError(err)
}

// replace gives t, which stat describes, the name base in one step. It returns a descriptor of
// OpenPath of t. If it fails, t can never get a name.
func (t *Temporary) replace(base string, stat syscalls.Stat) (file int, err error) {
	if t.Name == "" {
		if err := t.linkTemporary(base, stat.UID); err != nil {
			return -1, err
		}
	}
	file, err = t.openPath(t.Name, stat)
	if err == nil {
		if err = sys.Renameat(t.dir, t.Name, base); err == nil {
			t.Name = ""
			return file, nil
		}
		_ = syscalls.Close(file)
		err = nameError(err)
	}
	if errors.Is(err, syscall.EBUSY) {
		err = fmt.Errorf("the name is a mount point: %w", err)
	}
	if unlinkErr := sys.Unlinkat(t.dir, t.Name); unlinkErr != nil {
		err = fmt.Errorf("%w; the temporary name %s stays: %w", err, t.Name, unlinkErr)
	}
	t.Name = ""
	return -1, err
}

// nameError returns the error of the call that gives t its name. ENOENT is not about that name, but
// about the file or the directory.
func nameError(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return pathname.OfName(err)
}

// linkTemporary gives t, which belongs to owner, a temporary name: linkat(2) never replaces a file,
// and rename(2) needs a name.
func (t *Temporary) linkTemporary(base string, owner uint32) error {
	if err := checkNotAppendOnly(t.dir); err != nil {
		return err
	}
	// The lock, let go with the descriptor, tells others that the name is in use.
	if err := sys.TryFlock(t.FD); err != nil {
		return err
	}
	clear := func(name string) bool { return removeLeftover(t.dir, name, owner) }
	return withTempName(base, clear, func(name string) error {
		err := sys.Linkat(t.FD, t.dir, name)
		if err == nil {
			t.Name = name
		}
		return err
	})
}

// needsTempName reports whether the error of publishing a file without a name may mean that one
// with a temporary name would do: a FUSE server that goes by names can know O_TMPFILE, but not
// change such a file, nor link it. If err has another cause, the second attempt fails with the same
// error.
func needsTempName(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || // looked for by a name
		errors.Is(err, syscall.ESTALE) || // the same, of servers that know better
		errors.Is(err, syscall.EXDEV) || // linkat, of go-fuse
		errors.Is(err, errors.ErrUnsupported) // linkat, of servers without
}
