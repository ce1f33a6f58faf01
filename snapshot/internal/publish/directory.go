package publish

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// lockTries is how often the lock on a directory is tried for: half a second in all. It is held
// for a few system calls at a time.
const lockTries = 9

// LockDirectory takes the lock under which users of this library change names in a directory. It
// ends with the descriptor.
func LockDirectory(ctx context.Context, dirFD int) error {
	for i := 0; ; i++ {
		err := sys.TryFlock(dirFD)
		if err != nil && !errors.Is(err, syscall.EAGAIN) {
			return fmt.Errorf("lock of the directory: %w", err)
		}
		if err == nil {
			return nil
		}
		if i == lockTries {
			return fmt.Errorf("another commit holds the lock of the directory: %w", err)
		}
		if err := retry.Pause(ctx, i); err != nil {
			return err
		}
	}
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

// checkNotAppendOnly returns an error if a temporary name would stay in the directory for good.
func checkNotAppendOnly(dir int) error {
	only, err := sys.IsAppendOnly(dir)
	if only {
		return fmt.Errorf("the directory is append-only (Link could put a new name there): %w",
			syscall.EPERM)
	}
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// isRemoved reports whether a directory was: ext4 says EPERM then, the others ENOENT.
func isRemoved(dir int) bool {
	st, err := sys.Fstat(dir)
	return err == nil && st.Nlink == 0
}
