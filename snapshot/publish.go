package snapshot

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// Before a file without a name can replace one that has a name it needs a name of its own, for
// an instant: linkat never replaces, rename needs a name. There are this many fixed ones for
// each file, so that what a crash in that instant leaves is bounded, and random ones for when
// all are in use.
const slots = 8

const randomNames = 100

// slot returns a temporary name for a file: the hash keeps it short, whatever the name is.
func slot(base string, k uint64) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(base))
	return fmt.Sprintf(".%016x.mmapsnapshot-%d", h.Sum64(), k)
}

// replace gives the file without a name fd the name base in the directory dir, in one step as
// everybody else sees it. If it fails, nothing has changed, but fd may never get a name again.
func replace(fd, dir int, base string) error {
	// The lock tells others that the temporary name is in use. It is let go with the
	// descriptor.
	if err := sysFlock(fd); err != nil {
		return err
	}
	temp, err := linkTemporary(fd, dir, base)
	if err != nil {
		return err
	}
	if err := sysRename(dir, temp, base); err != nil {
		return errors.Join(err, sysUnlink(dir, temp))
	}
	return nil
}

func linkTemporary(fd, dir int, base string) (string, error) {
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

// publish calls link, which gives a durable file without a name a name in the directory dir,
// and makes that durable, too. It reports whether link did its part.
func publish(dir int, noSync bool, link func() error) (published bool, err error) {
	if noSync {
		err := link()
		return err == nil, err
	}
	// The directory is opened before anything changes, so that lacking the permission leaves
	// everything as it was.
	names, err := sysReopenDir(dir)
	if err != nil {
		return false, fmt.Errorf("directory: %w", err)
	}
	defer syscalls.Close(names)
	if err := link(); err != nil {
		return false, err
	}
	err = sysFsync(names)
	if err == nil ||
		errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) { // no such thing on this filesystem
		return true, nil
	}
	return true, fmt.Errorf("%w: directory: %w", ErrNotDurable, err)
}
