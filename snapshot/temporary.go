package snapshot

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"os"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A temporary is a file that is made ready, in its directory, to get a name. It has none until
// then, or, where the filesystem knows no unnamed files (O_TMPFILE), a temporary one.
type temporary struct {
	fd   int // -1 once it is closed
	dir  int
	name string // "" for none
}

// unnamed is a temporary of the unnamed file fd, which is to get a name in the directory dir.
func unnamed(fd, dir int) *temporary { return &temporary{fd, dir, ""} }

// newTemporary makes an empty one that is to get the name base. perm 0 is for one whose mode is
// set later. With named, it has a temporary name from the start in any case.
func newTemporary(dir int, base string, perm uint32, named bool) (temporary, error) {
	if !named {
		fd, err := sysTmpfile(dir, perm)
		if errors.Is(err, syscall.EPERM) && removed(dir) {
			err = fmt.Errorf("directory: %w", syscall.ENOENT)
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return temporary{fd, dir, ""}, err
		}
	}
	if err := removable(dir); err != nil {
		return temporary{}, err
	}
	if perm == 0 {
		perm = 0o600 // the owner must be able to look at what a crash left
	}
	for i := range slots + randomNames {
		name := temporaryName(base, i)
		fd, err := sysCreateExcl(dir, name, perm)
		t := temporary{fd, dir, name}
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			// It may be there all the same: on a server, opening it can fail once it was made.
			removeLeftover(dir, t.name, uint32(os.Geteuid()))
			return t, err
		}
		taken, err := t.lock()
		if err == nil && taken {
			return t, nil
		}
		if err != nil {
			t.discard()
			return t, err
		}
		_ = syscalls.Close(t.fd)
	}
	return temporary{}, errNoName
}

// removed reports whether a directory was: ext4 says EPERM then, the others ENOENT.
func removed(dir int) bool {
	st, err := sysFstat(dir)
	return err == nil && st.Nlink == 0
}

// wantsName reports whether the error of publishing a file without a name may mean that one with a
// temporary name would do: a FUSE server that goes by names can know O_TMPFILE, but not change
// such a file, nor link it. What else the error may mean, it means again.
func wantsName(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || // looked for by a name
		errors.Is(err, syscall.ESTALE) || // the same, of servers that know better
		errors.Is(err, syscall.EXDEV) || // linkat, of go-fuse
		errors.Is(err, errors.ErrUnsupported) // linkat, of servers without
}

// lock tells others that the name is in use, and reports whether it is still t's: until then it
// looks like one that a crash left, and somebody may have removed it, or be about to.
func (t temporary) lock() (bool, error) {
	err := sysTryFlock(t.fd)
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return false, nil
	case errors.Is(err, errors.ErrUnsupported),
		errors.Is(err, syscall.ENOLCK): // NFS without its lock service: nobody gets a lock, so nobody removes anything
	case err != nil:
		return false, err
	}
	now := place{dir: t.dir, base: t.name, file: -1}
	if err := now.look(); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return false, err
	}
	defer syscalls.Close(now.file)
	own, err := sysFstat(t.fd)
	return sameInode(now.stat, own), err
}

// discard gives up what has not got its name.
func (t *temporary) discard() {
	if t.name != "" {
		_ = sysUnlinkat(t.dir, t.name)
	}
	if t.fd >= 0 {
		t.close()
	}
}

// close closes it, which ends the lock on a temporary name.
func (t *temporary) close() {
	_ = syscalls.Close(t.fd)
	t.fd = -1
}

// openPath returns a descriptor of OpenPath of t itself: by the name, if t has that, or else
// through /proc.
func (t *temporary) openPath(name string) (int, error) {
	if name == "" {
		return sysOpenPathFollow(syscalls.AtFdcwd, fmt.Sprintf("/proc/self/fd/%d", t.fd))
	}
	file, err := sysOpenPath(t.dir, name)
	if err != nil {
		return -1, err
	}
	named, err := sysFstat(file)
	var own syscalls.Stat
	if err == nil {
		own, err = sysFstat(t.fd)
	}
	if err == nil && !sameInode(named, own) {
		err = fmt.Errorf("%w: another file has the name %s", errConflict, name)
	}
	if err != nil {
		_ = syscalls.Close(file)
		return -1, err
	}
	return file, nil
}

// link gives t the name base, which must be free. It returns a descriptor of OpenPath of t, or -1
// if t has the name but none could be had.
func (t *temporary) link(base string) (file int, err error) {
	file, err = t.openPath(t.name)
	if err != nil && t.name != "" {
		return -1, err
	}
	defer func() {
		if err != nil && file >= 0 {
			_ = syscalls.Close(file)
			file = -1
		}
	}()
	err = errors.ErrUnsupported
	if t.name != "" {
		err = sysRenameNoReplace(t.dir, t.name, base)
		if err == nil {
			t.name = ""
		}
	}
	if errors.Is(err, errors.ErrUnsupported) {
		err = sysLinkat(t.fd, t.dir, base)
		if err == nil && t.name != "" && sysUnlinkat(t.dir, t.name) == nil {
			t.name = ""
		}
	}
	if err == nil && file < 0 { // there is no /proc
		file, _ = t.openPath(base)
	}
	return file, err
}

// replace gives t the name base in one step as everybody else sees it. It returns a descriptor
// of OpenPath of t. If it fails, t can never get a name.
func (t *temporary) replace(base string) (file int, err error) {
	if t.name == "" {
		if t.name, err = linkTemporary(t.fd, t.dir, base); err != nil {
			t.name = ""
			return -1, err
		}
	}
	file, err = t.openPath(t.name)
	if err == nil {
		if err = sysRenameat(t.dir, t.name, base); err == nil {
			t.name = ""
			return file, nil
		}
		_ = syscalls.Close(file)
	}
	if errors.Is(err, syscall.EBUSY) {
		err = fmt.Errorf("the name is a mount point (Config.InPlace could change what is there): %w", err)
	}
	err = errors.Join(err, sysUnlinkat(t.dir, t.name))
	t.name = ""
	return -1, err
}

// Before a file without a name can replace one that has a name it needs a name of its own, for
// an instant: linkat never replaces, rename needs a name. There are this many fixed ones for
// each file, so that what crashes in that instant leave is bounded, and random ones for when
// all are in use.
const slots = 8

const randomNames = 100

var errNoName = fmt.Errorf("no temporary name is free: %w", fs.ErrExist)

// temporaryName returns the name to try as the i-th.
func temporaryName(base string, i int) string {
	if i < slots {
		return slot(base, uint64(i))
	}
	return slot(base, rand.Uint64())
}

// slot returns a temporary name for a file: the hash keeps it short, whatever the name is.
func slot(base string, k uint64) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(base))
	return fmt.Sprintf(".%016x.mmapsnapshot-%d", h.Sum64(), k)
}

// removable returns an error if a temporary name would stay in the directory for good.
func removable(dir int) error {
	only, err := sysAppendOnly(dir)
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
	if err := removable(dir); err != nil {
		return "", err
	}
	// The lock, let go with the descriptor, tells others that the name is in use.
	if err := sysTryFlock(fd); err != nil {
		return "", err
	}
	for i := range slots + randomNames {
		name := temporaryName(base, i)
		err := sysLinkat(fd, dir, name)
		if !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
	return "", errNoName
}
