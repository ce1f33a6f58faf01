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
	FD   int // -1 once it is closed
	dir  int
	Name string // "" for none
}

// Unnamed is a temporary of the unnamed file fd, which is to get a name in the directory dir.
func Unnamed(fd, dir int) *Temporary { return &Temporary{fd, dir, ""} }

// NewTemporary makes an empty one that is to get the name base. perm 0 is for one whose mode is
// set later. With withName, it has a temporary name from the start in any case.
func NewTemporary(dir int, base string, perm uint32, withName bool) (Temporary, error) {
	if !withName {
		fd, err := sys.Tmpfile(dir, perm)
		if errors.Is(err, syscall.EPERM) && isRemoved(dir) {
			err = fmt.Errorf("directory: %w", syscall.ENOENT)
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return Temporary{fd, dir, ""}, err
		}
	}
	if err := checkNotAppendOnly(dir); err != nil {
		return Temporary{}, err
	}
	if perm == 0 {
		perm = 0o600 // the owner must be able to look at what a crash left
	}
	for i := range fixedNames + randomNames {
		name := temporaryName(base, i)
		fd, err := sys.CreateExcl(dir, name, perm)
		t := Temporary{fd, dir, name}
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			// It may be there all the same: on a server, opening it can fail once it was made.
			removeLeftover(dir, t.Name, uint32(os.Geteuid()))
			return t, err
		}
		taken, err := t.lock()
		if err == nil && taken {
			return t, nil
		}
		if err != nil {
			t.Discard()
			return t, err
		}
		_ = syscalls.Close(t.FD)
	}
	return Temporary{}, errNoName
}

// isRemoved reports whether a directory was: ext4 says EPERM then, the others ENOENT.
func isRemoved(dir int) bool {
	st, err := sys.Fstat(dir)
	return err == nil && st.Nlink == 0
}

// NeedsTempName reports whether the error of publishing a file without a name may mean that one with a
// temporary name would do: a FUSE server that goes by names can know O_TMPFILE, but not change
// such a file, nor link it. If err has another cause, the second attempt fails with the same error.
func NeedsTempName(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || // looked for by a name
		errors.Is(err, syscall.ESTALE) || // the same, of servers that know better
		errors.Is(err, syscall.EXDEV) || // linkat, of go-fuse
		errors.Is(err, errors.ErrUnsupported) // linkat, of servers without
}

// lock tells others that the name is in use, and reports whether it is still t's: until then it
// looks like one that a crash left, and somebody may have removed it, or be about to.
func (t Temporary) lock() (bool, error) {
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
	defer syscalls.Close(now.FD)
	own, err := sys.Fstat(t.FD)
	return pathname.SameInode(now.Stat, own), err
}

// Discard gives up what has not got its name.
func (t *Temporary) Discard() {
	if t.Name != "" {
		_ = sys.Unlinkat(t.dir, t.Name)
	}
	if t.FD >= 0 {
		t.Close()
	}
}

// Close closes it, which ends the lock on a temporary name.
func (t *Temporary) Close() {
	_ = syscalls.Close(t.FD)
	t.FD = -1
}

// openPath returns a descriptor of OpenPath of t itself: by the name, if t has that, or else
// through /proc.
func (t *Temporary) openPath(name string) (int, error) {
	if name == "" {
		return sys.OpenPathFollow(syscalls.AtFdcwd, fmt.Sprintf("/proc/self/fd/%d", t.FD))
	}
	file, err := sys.OpenPath(t.dir, name)
	if err != nil {
		return -1, err
	}
	byName, err := sys.Fstat(file)
	var own syscalls.Stat
	if err == nil {
		own, err = sys.Fstat(t.FD)
	}
	if err == nil && !pathname.SameInode(byName, own) {
		err = fmt.Errorf("%w: another file has the name %s", ErrConflict, name)
	}
	if err != nil {
		_ = syscalls.Close(file)
		return -1, err
	}
	return file, nil
}

// link gives t the name base, which must be free. It returns a descriptor of OpenPath of t, or -1
// if t has the name but none could be had.
func (t *Temporary) link(base string) (file int, err error) {
	file, err = t.openPath(t.Name)
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
		file, _ = t.openPath(base)
	}
	return file, err
}

// replace gives t the name base in one step as everybody else sees it. It returns a descriptor
// of OpenPath of t. If it fails, t can never get a name.
func (t *Temporary) replace(base string) (file int, err error) {
	if t.Name == "" {
		if t.Name, err = linkTemporary(t.FD, t.dir, base); err != nil {
			t.Name = ""
			return -1, err
		}
	}
	file, err = t.openPath(t.Name)
	if err == nil {
		if err = sys.Renameat(t.dir, t.Name, base); err == nil {
			t.Name = ""
			return file, nil
		}
		_ = syscalls.Close(file)
	}
	if errors.Is(err, syscall.EBUSY) {
		err = fmt.Errorf("the name is a mount point (Config.InPlace could change what is there): %w", err)
	}
	err = errors.Join(err, sys.Unlinkat(t.dir, t.Name))
	t.Name = ""
	return -1, err
}

// checkNotAppendOnly returns an error if a temporary name would stay in the directory for good.
func checkNotAppendOnly(dir int) error {
	only, err := sys.IsAppendOnly(dir)
	if only {
		return fmt.Errorf("the directory is append-only (Link could put a new name there): %w", syscall.EPERM)
	}
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// linkTemporary gives fd a temporary name.
func linkTemporary(fd, dir int, base string) (string, error) {
	if err := checkNotAppendOnly(dir); err != nil {
		return "", err
	}
	// The lock, let go with the descriptor, tells others that the name is in use.
	if err := sys.TryFlock(fd); err != nil {
		return "", err
	}
	for i := range fixedNames + randomNames {
		name := temporaryName(base, i)
		err := sys.Linkat(fd, dir, name)
		if !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
	return "", errNoName
}
