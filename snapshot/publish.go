package snapshot

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A publication gives a file without a name, complete and durable, its name.
type publication struct {
	to     *place
	noSync bool
	check  func() error // under the lock on the directory, which must be had then; may be nil
	fresh  bool         // the name must not be taken

	// settle is called last before fd is named, and named at once afterwards, with a descriptor
	// of OpenPath of it, or -1, which it takes over.
	settle func() error
	named  func(file int)
}

// do names the file fd. It reports whether it did. If it did not, nothing has changed, but fd
// may never get a name again.
func (p publication) do(ctx context.Context, fd int) (done bool, err error) {
	// The directory is opened before anything changes, so that lacking the permission to make
	// it durable leaves everything as it was.
	names, err := sysReopenDir(p.to.dir)
	if err == nil {
		defer syscalls.Close(names)
		if err = lockDirectory(ctx, names); p.check == nil {
			err = nil // it matters to those who check
		}
	} else if p.noSync && p.check == nil {
		err = nil // what it is needed for is not wanted
	}
	if err != nil {
		return false, fmt.Errorf("directory: %w", err)
	}
	if p.check != nil {
		if err := p.check(); err != nil {
			return false, err
		}
	}
	if err := p.settle(); err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	name := replace
	if p.fresh {
		name = link
	}
	file, err := name(fd, p.to.dir, p.to.base)
	if err != nil {
		return false, err
	}
	p.named(file)
	if p.noSync {
		return true, nil
	}
	_ = sysFunlock(names) // others need not wait for the disk
	return true, durable(names)
}

// durable brings the names in a directory to the disk.
func durable(names int) error {
	err := sysFsync(names)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		return nil // no such thing on this filesystem
	}
	if err == nil {
		// An XFS that has shut itself down reports success for a directory all the same (measured
		// on Linux 6.18; a crash test found commits lost so). Looking at it fails.
		_, err = sysFstat(names)
	}
	if err != nil {
		return fmt.Errorf("%w: directory: %w", ErrNotDurable, err)
	}
	return nil
}

// lockTries is how often the lock on a directory is tried for: half a second in all. It is held
// for a few system calls at a time.
const lockTries = 9

// lockDirectory takes the lock under which users of this library change names in a directory.
func lockDirectory(ctx context.Context, names int) error {
	for i := 0; ; i++ {
		err := sysFlock(names)
		if !errors.Is(err, syscall.EAGAIN) || i == lockTries {
			return err
		}
		if err := pause(ctx, i); err != nil {
			return err
		}
	}
}

// link gives fd the name base, which must be free. It returns -1 if fd has the name but could
// not be opened by it.
func link(fd, dir int, base string) (file int, err error) {
	if err := sysLinkat(fd, dir, base); err != nil {
		return -1, err
	}
	file, err = sysOpenPath(dir, base)
	if err != nil {
		return -1, nil
	}
	return file, nil
}

// replace gives fd the name base in one step as everybody else sees it.
func replace(fd, dir int, base string) (file int, err error) {
	temp, err := linkTemporary(fd, dir, base)
	if err != nil {
		return -1, err
	}
	file, err = sysOpenPath(dir, temp)
	if err == nil {
		if err = sysRename(dir, temp, base); err == nil {
			return file, nil
		}
		_ = syscalls.Close(file)
	}
	if errors.Is(err, syscall.EBUSY) {
		err = fmt.Errorf("the name is a mount point (Config.InPlace could change what is there): %w", err)
	}
	return -1, errors.Join(err, sysUnlink(dir, temp))
}

// Before a file without a name can replace one that has a name it needs a name of its own, for
// an instant: linkat never replaces, rename needs a name. There are this many fixed ones for
// each file, so that what crashes in that instant leave is bounded, and random ones for when
// all are in use.
const slots = 8

const randomNames = 100

// slot returns a temporary name for a file: the hash keeps it short, whatever the name is.
func slot(base string, k uint64) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(base))
	return fmt.Sprintf(".%016x.mmapsnapshot-%d", h.Sum64(), k)
}

// linkTemporary gives fd a temporary name. What crashes left under the fixed ones is removed.
func linkTemporary(fd, dir int, base string) (string, error) {
	// The lock, let go with the descriptor, tells others that the name is in use.
	if err := sysFlock(fd); err != nil {
		return "", err
	}
	for k := range uint64(slots) {
		removeLeftover(fd, dir, slot(base, k))
	}
	for i := range slots + randomNames {
		k := uint64(i)
		if i >= slots {
			k = rand.Uint64()
		}
		name := slot(base, k)
		err := sysLinkat(fd, dir, name)
		if !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
	return "", fmt.Errorf("no temporary name is free: %w", fs.ErrExist)
}

// removeLeftover removes a temporary name that a crash left: a regular file of the owner that
// own has, with no other name, which no living process has locked.
func removeLeftover(own, dir int, name string) {
	left := place{dir: dir, base: name, file: -1}
	if left.look() != nil {
		return
	}
	defer syscalls.Close(left.file)
	mine, err := sysFstat(own)
	if err != nil || !left.stat.Mode.IsRegular() || left.stat.Nlink != 1 || left.stat.UID != mine.UID {
		return
	}
	fd, err := sysReopen(left.file)
	if err != nil {
		return
	}
	defer syscalls.Close(fd)
	if sysFlock(fd) != nil {
		return
	}
	// Under the lock nobody else removes it, and while it is there nobody can take the name: if
	// it still has the name now, it is what is removed.
	now := place{dir: dir, base: name, file: -1}
	if now.look() != nil {
		return
	}
	defer syscalls.Close(now.file)
	if now.stat.Ino == left.stat.Ino && now.stat.Dev == left.stat.Dev {
		_ = sysUnlink(dir, name)
	}
}
