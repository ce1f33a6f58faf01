package snapshot

import (
	"context"
	"errors"
	"fmt"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// commitInPlace makes the contents of the snapshot those of the file that has its name, by a
// reflink over what is there. The caller holds committing.
func (m *MmapMut) commitInPlace(ctx context.Context) error {
	names, err := sysReopenDir(m.at.dir)
	if err == nil {
		defer syscalls.Close(names)
		err = lockDirectory(ctx, names)
	}
	if err != nil && m.config.CheckConflict {
		return fmt.Errorf("directory: %w", err)
	}
	if m.config.CheckConflict {
		if err := m.unchanged(); err != nil {
			return err
		}
	}
	now := place{dir: m.at.dir, base: m.at.base, file: -1}
	if err := now.look(); err != nil {
		return err
	}
	defer syscalls.Close(now.file)
	if !now.stat.Mode.IsRegular() {
		return notRegular(now.stat.Mode)
	}
	file, err := sysReopenWrite(now.file)
	if err != nil {
		return err
	}
	defer syscalls.Close(file)
	if err := m.overwrite(ctx, file); err != nil {
		return err
	}
	after, err := sysFstat(file)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotDurable, err)
	}
	m.baseline = &after
	m.flatten(ctx)
	return nil
}

// overwrite makes file a reflink of the private file, durably.
func (m *MmapMut) overwrite(ctx context.Context, file int) error {
	if err := sysWriteback(m.fd()); err != nil {
		return m.breakWith(err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.store.Lock()
	size, err := m.size, m.reflinkOver(file)
	m.store.Unlock()
	if werr := sysWritebackErr(m.fd()); werr != nil {
		return m.breakWith(werr)
	}
	if err != nil {
		return err
	}
	if st, err := sysFstat(file); err != nil {
		return err
	} else if st.Size != size {
		return fmt.Errorf("%w: the file has %d bytes, not the %d committed: somebody else changed its size", ErrConflict, st.Size, size)
	}
	if err := sysFsync(file); err != nil {
		return fmt.Errorf("%w: %w", ErrNotDurable, err)
	}
	return nil
}

// reflinkOver does the one step that changes the file. The caller owns store.
func (m *MmapMut) reflinkOver(file int) error {
	st, err := sysFstat(file)
	if err != nil {
		return err
	}
	if st.Size > m.size {
		return fmt.Errorf("%w: a file cannot shrink in place, from %d to %d bytes", errors.ErrUnsupported, st.Size, m.size)
	}
	if m.length != m.size {
		if m.viewed() {
			return fmt.Errorf("%w: in place, while a View shows what was cut off", errors.ErrUnsupported)
		}
		if err := m.discard(); err != nil {
			return err
		}
	}
	m.flat.cloned = true
	return sysFiclone(file, m.fd())
}
