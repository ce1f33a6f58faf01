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
// or a symbolic link changed since. A program can be executed as soon as its commit is visible,
// but for the instant until the new file is closed (ETXTBSY).
//
// It costs a reflink, where the filesystem has them, or else a copy of the data, plus writing
// to the disk what is not there yet. WriteAt waits while the reflink or copy is made, ReadAt
// does not. Where many small changes have left the private file in many extents, a commit also
// puts some of it in order, after publishing, for about as long as the reflink took.
//
// All this is different with Config.InPlace, see there.
//
// If Commit fails, the file is as it was and nothing is left behind, unless the error is
// ErrNotDurable. Commit may then be called again, unless changes could not be written to the
// disk: the kernel has forgotten them then, and every later commit fails too.
func (m *MmapMut) Commit() error { return m.CommitContext(context.Background()) }

// CommitContext is Commit, given up, with nothing changed, if the context ends before the new
// contents are published. It looks at the context between system calls, of which a copy is many;
// one that waits for the disk is waited for.
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
	if m.config.InPlace {
		return m.commitInPlace(ctx)
	}
	return m.publishCopy(ctx, m.own())
}

// own is the publication under the snapshot's own name.
func (m *MmapMut) own() publication {
	p := publication{to: m.at, noSync: m.config.NoSync}
	if m.config.CheckConflict {
		p.check, p.fresh = m.unchanged, m.baseline == nil
	}
	return p
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
	if err := to.needDir(); err != nil {
		return err
	}
	if to.file >= 0 {
		if err := sysAccess(to.file, to.dir, to.base); err != nil {
			return err
		}
	}
	return m.publishCopy(context.Background(), publication{to: to, noSync: m.config.NoSync})
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
	return m.publishCopy(context.Background(), publication{to: to, noSync: m.config.NoSync, fresh: true})
}

// publishCopy makes a copy of the contents and publishes it.
func (m *MmapMut) publishCopy(ctx context.Context, p publication) error {
	attrs, err := m.attributesFor(p)
	if err != nil {
		return err
	}
	done, named, err := m.publishNew(ctx, p, attrs)
	if !done && !named && wantsName(err) {
		before := m.named
		m.named = true
		done, _, err = m.publishNew(ctx, p, attrs)
		m.named = before || done && p.to == m.at
	}
	m.flatten(ctx)
	return err
}

// publishNew does that with one temporary file. It reports whether that got the name, and whether it
// had a temporary one.
func (m *MmapMut) publishNew(ctx context.Context, p publication, attrs *attributes) (done, named bool, err error) {
	perm := uint32(0) // nobody else may open it before it has its owner and mode
	if attrs == nil {
		perm = m.config.perm()
	}
	t, err := newTemporary(p.to.dir, p.to.base, perm, m.named)
	if err != nil {
		return false, true, err
	}
	defer t.discard()
	named = t.name != ""
	if err := m.copyTo(ctx, t.fd); err != nil {
		return false, true, err
	}
	done, err = m.publish(ctx, p, &t, attrs, t.close)
	return done, named, err
}

// publish makes t, which holds the contents, durable, with the attributes attrs or those that
// are right by now, and names it. Under the snapshot's own name it remembers it as the file
// that the next commit expects. It reports whether t got the name, and if so has called release at
// once, to close it: while it is open for writing, executing it is ETXTBSY, and nobody gets a lease.
func (m *MmapMut) publish(ctx context.Context, p publication, t *temporary, attrs *attributes, release func()) (bool, error) {
	fd := t.fd
	if attrs == nil {
		if err := m.restoreSetID(fd); err != nil {
			return false, err
		}
	} else if err := attrs.apply(fd); err != nil {
		return false, err
	}
	// The data reach the disk before the name, always: else a crash would leave zeros or an
	// empty file.
	if err := m.syncFile(fd); err != nil {
		return false, err
	}
	var before syscalls.Stat
	p.settle = func() (err error) {
		// A chmod that was made while the data were copied and written counts.
		now, err := m.attributes(p.to)
		if err == nil && now != nil && (attrs == nil || !now.equal(attrs)) {
			if err = now.apply(fd); err == nil {
				err = m.syncFile(fd)
			}
		}
		if err == nil {
			before, err = sysFstat(fd)
		}
		return err
	}
	p.named = func(file int) {
		defer release()
		if p.to != m.at {
			if file >= 0 {
				_ = syscalls.Close(file)
			}
			return
		}
		// Naming it changed its change time. All else is from when nobody else could change it.
		if after, err := sysFstat(fd); err == nil {
			before.Ctime = after.Ctime
		}
		m.expect(before, file)
	}
	done, err := p.do(ctx, t)
	if !done && p.fresh && p.to == m.at && errors.Is(err, fs.ErrExist) {
		err = ErrConflict
	}
	return done, err
}

// restoreSetID gives a new file the set-id bits of Config.Perm back, which the kernel takes away
// when an ordinary user writes to it.
func (m *MmapMut) restoreSetID(fd int) error {
	bits := m.config.perm() & 0o6000
	if bits == 0 {
		return nil
	}
	own, err := sysFstat(fd)
	if err != nil {
		return err
	}
	return sysFchmod(fd, own.Perm|bits)
}

// syncFile brings a file that is to be published to the disk. If it is the private file itself,
// an error means that what was stored may be lost.
func (m *MmapMut) syncFile(fd int) error {
	err := sysFsync(fd)
	if err != nil && fd == m.fd() {
		return m.breakWith(err)
	}
	return err
}

// copyTo fills the empty file fd with what the snapshot holds at one instant.
func (m *MmapMut) copyTo(ctx context.Context, fd int) error {
	// What is dirty is written first, while stores go on, so that they need not wait for it,
	// and because an error must not be missed: after a writeback that failed, the kernel takes
	// the pages for clean, and a clone would hold old data.
	if err := m.writeback(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err := m.fill(ctx, fd)
	// Stores made since the first look may have failed to reach the disk, too.
	if werr := sysWritebackErr(m.fd()); werr != nil {
		return m.breakWith(werr)
	}
	if errors.Is(err, syscall.EIO) && !errors.As(err, new(writeError)) {
		return m.breakWith(err)
	}
	return err
}

// writeback brings what was stored to the disk.
func (m *MmapMut) writeback() error {
	m.store.Lock()
	err := m.flush()
	m.store.Unlock()
	if err != nil {
		return err
	}
	if err := sysWriteback(m.fd()); err != nil {
		return m.breakWith(err)
	}
	m.cleaned()
	return nil
}

// fill clones or copies the private file to fd while nobody stores into it.
func (m *MmapMut) fill(ctx context.Context, fd int) error {
	m.store.Lock()
	defer m.store.Unlock()
	if err := m.flush(); err != nil {
		return writeError{err}
	}
	err := clone(ctx, fd, m.fd())
	m.flat.cloned = err == nil
	if errors.Is(err, errors.ErrUnsupported) && !m.config.NoCopy {
		return newCopier(ctx, m.config.Progress).copy(fd, m.fd(), m.Size(), true)
	}
	if err != nil || m.length == m.Size() {
		return err
	}
	if err := sysFtruncate(fd, m.Size()); err != nil {
		return writeError{err}
	}
	return nil
}

// usable returns why the snapshot cannot be committed, if so. The caller holds committing.
func (m *MmapMut) usable() error {
	if m.closed.Load() {
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
