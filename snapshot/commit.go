package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// Commit makes the contents of the snapshot the contents of the file, atomically: whoever opens
// or reads the name sees the old file or the new one, whole, also after a crash; and when
// Commit has returned, a crash does not bring the old one back. The snapshot goes on as before.
//
// The file is a new one: descriptors opened before, and other hard links, keep the old
// contents. Owner, group, mode, extended attributes and ACLs are those of the file at the time
// of the commit. Name and directory are those that were opened, even if the working directory
// or a symbolic link changed since.
//
// It costs a reflink, where the filesystem has them, or else a copy of the data, plus writing
// to the disk what is not there yet.
//
// If Commit fails, the file is as it was and nothing is left behind, unless the error is
// ErrNotDurable. Commit may then be called again, unless changes could not be written to the
// disk: the kernel has forgotten them then, and every later commit fails too.
func (m *MmapMut) Commit() error { return m.CommitContext(context.Background()) }

// CommitContext is Commit, given up, with nothing changed, if the context ends before the new
// contents are published.
func (m *MmapMut) CommitContext(ctx context.Context) error {
	m.committing.Lock()
	defer m.committing.Unlock()
	return pathError("commit", m.name, m.commit(ctx))
}

// commit does the work of Commit. The caller holds committing.
func (m *MmapMut) commit(ctx context.Context) error {
	if err := m.usable(); err != nil {
		return err
	}
	attrs, err := m.at.attributes(m.at.file)
	if err != nil {
		return err
	}
	return m.publishCopy(ctx, m.at.dir, attrs, func(fd int) error {
		return replace(fd, m.at.dir, m.at.base)
	})
}

// CommitTo does with the file name what Commit does with the snapshot's own: creates it or
// replaces its contents. The snapshot stays bound to its own. A file that is new gets owner,
// mode and attributes of the snapshot's.
func (m *MmapMut) CommitTo(name string) error {
	m.committing.Lock()
	defer m.committing.Unlock()
	return linkError("commit", m.name, name, m.commitTo(name))
}

func (m *MmapMut) commitTo(name string) error {
	if err := m.usable(); err != nil {
		return err
	}
	to, err := resolve(name, true)
	if err != nil {
		return err
	}
	defer to.close()
	if to.file >= 0 {
		if err := sysAccess(to.file, to.dir, to.base); err != nil {
			return err
		}
	}
	return m.publishNew(to, func(fd int) error { return replace(fd, to.dir, to.base) })
}

// Link gives a copy of the contents, by reflink where the filesystem has them, a new name,
// durably. The error is fs.ErrExist if the name is taken. Owner, mode and attributes are those
// of the snapshot's file.
func (m *MmapMut) Link(name string) error {
	m.committing.Lock()
	defer m.committing.Unlock()
	return linkError("link", m.name, name, m.link(name))
}

func (m *MmapMut) link(name string) error {
	if err := m.usable(); err != nil {
		return err
	}
	if name == "" {
		return syscall.ENOENT
	}
	to, err := lookup(syscalls.AtFdcwd, name, true)
	if err != nil {
		return err
	}
	defer to.close()
	if to.file >= 0 {
		return syscall.EEXIST
	}
	return m.publishNew(to, func(fd int) error { return sysLinkat(fd, to.dir, to.base) })
}

// publishNew publishes a copy at a place that is not the snapshot's own.
func (m *MmapMut) publishNew(to *place, link func(fd int) error) error {
	attrs, err := to.attributes(-1)
	if err == nil && attrs == nil {
		attrs, err = m.at.attributes(m.at.file)
	}
	if err != nil {
		return err
	}
	return m.publishCopy(context.Background(), to.dir, attrs, link)
}

// publishCopy makes a copy of the contents in the directory dir, with the attributes given, and
// has link give it a name.
func (m *MmapMut) publishCopy(ctx context.Context, dir int, attrs *attributes, link func(fd int) error) error {
	perm := uint32(0) // nobody else may open it before it has its owner and mode
	if attrs == nil {
		perm = m.config.perm()
	}
	fd, err := sysTmpfile(dir, perm)
	if err != nil {
		return err
	}
	defer syscalls.Close(fd)
	if err := m.copyTo(ctx, fd); err != nil {
		return err
	}
	if err := attrs.apply(fd); err != nil {
		return err
	}
	// The data reach the disk before the name, always: else a crash would leave zeros or an
	// empty file.
	if err := sysFsync(fd); err != nil {
		return err
	}
	_, err = publish(dir, m.config.NoSync, func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return link(fd)
	})
	return err
}

// copyTo fills the empty file fd with what the snapshot holds at one instant.
func (m *MmapMut) copyTo(ctx context.Context, fd int) error {
	// What is dirty is written first, while stores go on, so that they need not wait for it,
	// and because an error must not be missed: after a writeback that failed, the kernel takes
	// the pages for clean, and a clone would hold old data.
	if err := sysWriteback(m.fd()); err != nil {
		return m.breakWith(err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.store.Lock()
	err := m.fill(ctx, fd)
	m.store.Unlock()
	// Stores made since the first look may have failed to reach the disk, too.
	if werr := sysWritebackErr(m.fd()); werr != nil {
		return m.breakWith(werr)
	}
	if errors.Is(err, syscall.EIO) {
		return m.breakWith(err)
	}
	return err
}

// fill clones or copies the private file to fd. The caller owns store, so that size and length
// stand still.
func (m *MmapMut) fill(ctx context.Context, fd int) error {
	err := clone(ctx, fd, m.fd())
	if errors.Is(err, errors.ErrUnsupported) && !m.config.NoCopy {
		return copier{ctx, m.config.Progress}.copy(fd, m.fd(), m.size, true)
	}
	if err != nil || m.length == m.size {
		return err
	}
	return sysFtruncate(fd, m.size)
}

// CommitAndClose is Commit and Close in one, and costs no clone or copy on any filesystem: the
// private file itself becomes the file. Slices of Bytes are invalid from the start, even if it
// fails.
//
// If it fails, the file is as it was and the snapshot is open as before, unless the error is
// ErrNotDurable. Methods that are called while it works return fs.ErrClosed. While a View is
// running, it does what Commit and Close do.
func (m *MmapMut) CommitAndClose() error {
	m.committing.Lock()
	defer m.committing.Unlock()
	return pathError("commit", m.name, m.commitAndClose())
}

func (m *MmapMut) commitAndClose() error {
	if err := m.usable(); err != nil {
		return err
	}
	sealed, err := m.seal()
	if err != nil {
		return err
	}
	if !sealed {
		err = m.commit(context.Background())
		if err != nil && !errors.Is(err, ErrNotDurable) {
			return err
		}
		return errors.Join(err, m.close())
	}
	published, err := m.publishSelf()
	if !published && m.unseal() == nil {
		return err
	}
	return errors.Join(err, m.close())
}

// publishSelf gives the private file, which is sealed, the name.
func (m *MmapMut) publishSelf() (published bool, err error) {
	attrs, err := m.at.attributes(m.at.file)
	if err != nil {
		return false, err
	}
	if err := attrs.apply(m.fd()); err != nil {
		return false, err
	}
	if err := sysFsync(m.fd()); err != nil {
		return false, m.breakWith(err)
	}
	return publish(m.at.dir, m.config.NoSync, func() error {
		m.spent = true
		return replace(m.fd(), m.at.dir, m.at.base)
	})
}

// seal keeps everybody from the private file, slices of Bytes included, and cuts it to size. It
// reports false, and does nothing, while a View is running or if the private file can get no
// name.
func (m *MmapMut) seal() (bool, error) {
	m.store.Lock()
	defer m.store.Unlock()
	m.layout.Lock()
	defer m.layout.Unlock()
	if m.spent || m.viewed() {
		return false, nil
	}
	if m.length != m.size {
		if err := m.discard(); err != nil {
			return false, err
		}
	}
	if m.mem != nil {
		if err := sysMprotect(m.mem.mem, false, false); err != nil {
			return false, err
		}
	}
	m.closed = true
	return true, nil
}

// unseal undoes seal.
func (m *MmapMut) unseal() error {
	m.layout.Lock()
	defer m.layout.Unlock()
	if m.mem != nil {
		if err := sysMprotect(m.mem.mem, true, true); err != nil {
			return err
		}
	}
	m.closed = false
	return nil
}

// usable returns why the snapshot cannot be committed, if so. The caller holds committing.
func (m *MmapMut) usable() error {
	if m.isClosed() {
		return fs.ErrClosed
	}
	if m.broken != nil {
		return fmt.Errorf("an earlier commit failed: %w", m.broken)
	}
	return nil
}

// breakWith remembers an error after which the private file may not hold what was stored into
// it.
func (m *MmapMut) breakWith(err error) error {
	m.broken = err
	return err
}
