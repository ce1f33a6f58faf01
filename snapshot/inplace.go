package snapshot

import (
	"context"
	"errors"
	"fmt"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/publish"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// commitInPlace makes the contents of the snapshot those of the file that has its name, by a
// reflink over what is there. The caller holds committing.
func (m *MmapMut) commitInPlace(ctx context.Context) error {
	if err := m.writeOut(); err != nil { // before other processes have to wait
		return err
	}
	file, err := m.overwrite(ctx)
	if file >= 0 {
		defer syscalls.Close(file)
	}
	if err := m.writebackError(); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	if err := sys.Fsync(file); err != nil {
		return fmt.Errorf("%w: %w", ErrNotDurable, err)
	}
	m.defrag(ctx)
	return nil
}

// overwrite does the one step that changes the file, after the checks. It returns the file,
// open for writing, or -1.
func (m *MmapMut) overwrite(ctx context.Context) (int, error) {
	// Before the lock, because it can wait for leases; but not for those of a file that has lost
	// the name.
	find := func() error { return m.origin.Find(m.config.CheckConflict) }
	if err := retry.Do(ctx, find); err != nil {
		return -1, err
	}
	file, err := m.origin.OpenReadWrite(ctx)
	if err != nil {
		return -1, err
	}
	dirFD, err := sys.ReopenDir(m.origin.At.DirFD)
	if err == nil {
		defer syscalls.Close(dirFD)
	} else if m.config.CheckConflict {
		return file, pathname.OfDir(m.origin.At.DirFD, err)
	}
	if err := retry.Do(ctx, func() error { return m.lockAndFind(ctx, dirFD) }); err != nil {
		return file, err
	}
	size, err := m.reflinkOver(file)
	if size < 0 {
		return file, err
	}
	// Whatever came of it, what the file is now is our doing.
	after, statErr := sys.Fstat(file)
	if statErr != nil {
		return file, errors.Join(err, statErr)
	}
	m.origin.Stat = &after
	if err == nil && after.Size != size {
		err = fmt.Errorf("%w: the file has %d bytes, not the %d committed",
			ErrConflict, after.Size, size)
	}
	return file, err
}

// lockAndFind locks the directory, if it can be opened and locked or CheckConflict needs it, and
// returns an error if the name does not lead to the file that is to be overwritten.
func (m *MmapMut) lockAndFind(ctx context.Context, dirFD int) error {
	err := publish.LockDirectory(ctx, dirFD)
	if m.config.CheckConflict && err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err = m.origin.Find(m.config.CheckConflict); err != nil {
		_ = sys.Funlock(dirFD) // others need not wait for the next attempt
	}
	return err
}

// reflinkOver clones the private file over file while nobody stores into it, and returns its
// size.
func (m *MmapMut) reflinkOver(file int) (int64, error) {
	m.store.Lock()
	defer m.store.Unlock()
	st, err := sys.Fstat(file)
	if err != nil {
		return -1, err
	}
	if st.Size > m.Size() {
		return -1, fmt.Errorf("a file cannot shrink in place, from %d to %d bytes: %w",
			st.Size, m.Size(), errors.ErrUnsupported)
	}
	if err := m.trim(); err != nil {
		return -1, err
	}
	m.defragState.Cloned = true
	return m.Size(), sys.Ficlone(file, m.fd())
}
