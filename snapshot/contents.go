package snapshot

import (
	"context"
	"errors"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// copyTo fills the empty file fd with what the snapshot holds at one instant.
func (m *MmapMut) copyTo(ctx context.Context, fd int) error {
	// Dirty pages are written first, while stores go on, so that stores need not wait for the disk,
	// and because an error must not be missed: after a writeback that failed, the kernel takes
	// the pages for clean, and a clone would hold old data.
	if err := m.writeOut(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err := m.fill(ctx, fd)
	// Stores made since the first look may have failed to reach the disk, too.
	if err := m.writebackError(); err != nil {
		return err
	}
	if errors.Is(err, syscall.EIO) && !privatefile.IsWriteError(err) {
		return m.markBroken(err)
	}
	return err
}

// fill clones or copies the private file to fd while no goroutine stores into it by WriteAt.
func (m *MmapMut) fill(ctx context.Context, fd int) error {
	m.store.Lock()
	defer m.store.Unlock()
	if err := m.trim(); err != nil {
		return privatefile.WriteError(err)
	}
	err := privatefile.CloneExact(ctx, fd, m.fd(), m.Size())
	if m.defragState.Cloned = err == nil; err == nil {
		m.region.Written() // the clone wrote back the pages stored to since writeback
	}
	if errors.Is(err, errors.ErrUnsupported) && !m.config.NoCopy {
		return privatefile.NewCopier(ctx, m.config.Progress).Copy(fd, m.fd(), m.Size(), true)
	}
	return err
}

// writeOut brings what was stored to the disk.
func (m *MmapMut) writeOut() error {
	if err := m.region.Writeback(sys.WritebackAndWait); err != nil {
		return err
	}
	m.region.Written()
	return nil
}

// writebackError waits for the writeback that runs, if any, and returns an error if one has ever
// failed.
func (m *MmapMut) writebackError() error {
	return m.region.Writeback(sys.WritebackError)
}

// markBroken remembers an error after which the private file may not hold what was stored into
// it.
func (m *MmapMut) markBroken(err error) error {
	m.broken = err
	return err
}

// defrag joins extents of the private file, after a copy of it was made.
func (m *MmapMut) defrag(ctx context.Context) {
	m.defragState.Run(ctx, m.config.options(false), m.fd(), m.origin.At.DirFD, m.Size())
}
