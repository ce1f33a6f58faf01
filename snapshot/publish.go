package snapshot

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A publication gives a temporary, complete and durable, its name.
type publication struct {
	to     *place
	noSync bool
	check  bool // the name must lead to the expected file, unchanged, under the directory's lock
	fresh  bool // the name must be free
	adopt  bool // any file that has the name is replaced, and its owner and mode are taken over

	// settle is called last before t is named, and named at once afterwards, with a descriptor
	// of OpenPath of it, or -1, which it takes over.
	settle func() error
	named  func(file int)
}

// do names the file t. It reports whether it did. If it did not, nothing has changed, but t may
// never get a name again.
func (p publication) do(ctx context.Context, t *temporary) (done bool, err error) {
	// The directory is opened before anything changes, so that lacking the permission to make
	// it durable leaves everything as it was.
	names, err := sysReopenDir(p.to.dir)
	if err == nil {
		defer syscalls.Close(names)
		if err = lockDirectory(ctx, names); !p.check {
			err = nil // it matters to those who check
		}
	} else if p.noSync && !p.check {
		err = nil // what it is needed for is not wanted
	}
	if err != nil {
		return false, fmt.Errorf("directory: %w", err)
	}
	removeLeftovers(t.fd, p.to.dir, p.to.base)
	if err := p.settle(); err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	name := t.replace
	if p.fresh {
		name = t.link
	}
	file, err := name(p.to.base)
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
		return fmt.Errorf("%w: directory: %w", errNotDurable, err)
	}
	return nil
}

// lockTries is how often the lock on a directory is tried for: half a second in all. It is held
// for a few system calls at a time.
const lockTries = 9

// lockDirectory takes the lock under which users of this library change names in a directory.
func lockDirectory(ctx context.Context, names int) error {
	for i := 0; ; i++ {
		err := sysTryFlock(names)
		if !errors.Is(err, syscall.EAGAIN) || i == lockTries {
			return err
		}
		if err := pause(ctx, i); err != nil {
			return err
		}
	}
}

var (
	errConflict   = errors.New("file was changed by someone else")
	errNotDurable = errors.New("committed, but perhaps not durable")
)
