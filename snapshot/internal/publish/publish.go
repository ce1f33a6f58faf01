package publish

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A Publication gives a temporary, complete and durable, its name.
type Publication struct {
	To        *pathname.Location
	NoSync    bool
	Check     bool // the name must lead to the expected file, unchanged, under the directory's lock
	NoReplace bool // the name must be free
	Adopt     bool // any file that has the name is replaced, and its owner and mode are taken over

	// BeforeRename runs immediately before t gets the name. AfterRename runs immediately after it,
	// with a descriptor of OpenPath of the file, or -1, and takes ownership of it.
	BeforeRename func() error
	AfterRename  func(file int)
}

// Run names the file t. It reports whether it did. If it did not, nothing has changed, but t may
// never get a name again.
func (p Publication) Run(ctx context.Context, t *Temporary) (done bool, err error) {
	// The directory is opened before anything changes, so that lacking the permission to make
	// it durable leaves everything as it was.
	dirFD, err := sys.ReopenDir(p.To.DirFD)
	if err == nil {
		defer syscalls.Close(dirFD)
		if err = LockDirectory(ctx, dirFD); !p.Check {
			err = nil // it matters to those who check
		}
	} else if p.NoSync && !p.Check {
		err = nil // what it is needed for is not wanted
	}
	if err != nil {
		return false, fmt.Errorf("directory: %w", err)
	}
	removeLeftovers(t.FD, p.To.DirFD, p.To.Name)
	if err := p.BeforeRename(); err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	name := t.replace
	if p.NoReplace {
		name = t.link
	}
	file, err := name(p.To.Name)
	if err != nil {
		return false, err
	}
	p.AfterRename(file)
	if p.NoSync {
		return true, nil
	}
	_ = sys.Funlock(dirFD) // others need not wait for the disk
	return true, syncDir(dirFD)
}

// syncDir brings the names in a directory to the disk.
func syncDir(dirFD int) error {
	err := sys.Fsync(dirFD)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		return nil // no such thing on this filesystem
	}
	if err == nil {
		// An XFS that has shut itself down reports success for a directory all the same (measured
		// on Linux 6.18; a crash test found commits lost so). Looking at it fails.
		_, err = sys.Fstat(dirFD)
	}
	if err != nil {
		return fmt.Errorf("%w: directory: %w", ErrNotDurable, err)
	}
	return nil
}

// lockTries is how often the lock on a directory is tried for: half a second in all. It is held
// for a few system calls at a time.
const lockTries = 9

// LockDirectory takes the lock under which users of this library change names in a directory.
func LockDirectory(ctx context.Context, dirFD int) error {
	for i := 0; ; i++ {
		err := sys.TryFlock(dirFD)
		if !errors.Is(err, syscall.EAGAIN) || i == lockTries {
			return err
		}
		if err := retry.Pause(ctx, i); err != nil {
			return err
		}
	}
}
