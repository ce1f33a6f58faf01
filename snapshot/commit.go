package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/publish"
)

// Commit makes the contents of the snapshot the contents of the file, atomically: whoever opens
// or reads the name sees the old file or the new one, whole, also after a crash; and when
// Commit has returned, a crash does not bring the old one back. The snapshot goes on as before.
//
// The file is a new one: descriptors opened before, and other hard links, keep the old contents.
// Owner, group, mode, extended attributes and ACLs are those of the file at the time of the commit,
// except that file capabilities, and without CAP_FSETID set-id bits, are dropped, as a write(2)
// drops them. If the name leads to another file than the one that was opened or last committed,
// Commit replaces it if owner, group, mode, ACL and security labels are the same, and fails with
// [ErrConflict] if not, because either choice could make something readable or executable that
// should not be. If the name is free, because the file was removed, Commit makes it again, with the
// attributes of the file that was opened. Name and directory are those that were opened, even if
// the working directory or a symbolic link changed since. A program can be executed as soon as its
// commit is visible, but for the instant until the new file is closed (ETXTBSY).
//
// It costs a reflink, where the filesystem has them, or else a copy of the data, plus writing
// to the disk what is not there yet. WriteAt waits while the reflink or copy is made, ReadAt
// does not. Where many small changes have left the private file in many extents, a commit also
// puts some of it in order, after publishing, for about as long as the reflink took.
//
// On XFS, a store through View or Bytes makes the kernel write the whole folio of the page cache, and
// reading ahead, as Prefetch does, makes folios large: after Prefetch of 64 MiB, 100 stores of one
// byte write 50 MiB. By WriteAt they write 0.4 MiB. Use WriteAt for small changes.
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
	if !m.isValid() {
		return fs.ErrInvalid
	}
	m.committing.Lock()
	defer m.committing.Unlock()
	return pathError("commit", m.name, m.commit(ctx))
}

// commit does the work of Commit. The caller holds committing.
func (m *MmapMut) commit(ctx context.Context) error {
	if err := m.checkUsable(); err != nil {
		return err
	}
	if err := m.origin.At.RequireDir(); err != nil {
		return err
	}
	if m.config.InPlace {
		return m.commitInPlace(ctx)
	}
	return m.publishCopy(ctx, m.origin.At, m.ownReplace())
}

// ownReplace says which file a commit to the snapshot's own name may replace.
func (m *MmapMut) ownReplace() publish.Replace {
	first := m.origin.Stat == nil
	switch {
	case m.config.CheckConflict && first:
		return publish.ReplaceNone
	case m.config.CheckConflict:
		return publish.ReplaceUnchanged
	case first:
		return publish.ReplaceAny
	}
	return publish.ReplaceSameAccess
}

// publishCopy publishes a copy of the contents.
func (m *MmapMut) publishCopy(
	ctx context.Context, to *pathname.Location, replace publish.Replace,
) error {
	_, err := publish.Publish(ctx, publish.Request{
		Origin: &m.origin, To: to, Replace: replace, NoSync: m.config.NoSync, Fill: m.copyTo,
	})
	m.defrag(ctx)
	return err
}

// CommitTo does with the file name what Commit does with the snapshot's own: creates it or replaces
// its contents. The snapshot stays bound to its own. A file that is new gets owner, mode and
// attributes of the snapshot's file, wherever that is by now, or the mode Config.Perm. A file that
// is replaced keeps its own, without set-id bits and capabilities. In a sticky directory that is
// writable for group or others, a file that belongs neither to the caller nor to the owner of the
// directory is not replaced: the error is syscall.EACCES. The name is looked up below Config.Root,
// if that is set.
func (m *MmapMut) CommitTo(name string) error {
	return m.CommitToContext(context.Background(), name)
}

// CommitToContext is CommitTo, given up if the context ends: see CommitContext.
func (m *MmapMut) CommitToContext(ctx context.Context, name string) error {
	if !m.isValid() {
		return fs.ErrInvalid
	}
	m.committing.Lock()
	defer m.committing.Unlock()
	return linkError("commit", m.name, name, m.commitTo(ctx, name))
}

func (m *MmapMut) commitTo(ctx context.Context, name string) error {
	if err := m.checkUsable(); err != nil {
		return err
	}
	to, err := pathname.Resolve(m.config.Root, name, true)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := to.RequireDir(); err != nil {
		return err
	}
	if to.FD >= 0 {
		if err := to.CheckReplaceable(); err != nil {
			return err
		}
	}
	return m.publishCopy(ctx, to, publish.ReplaceAny)
}

// Link gives a copy of the contents, by reflink where the filesystem has them, a new name, durably.
// The name is looked up below Config.Root, if that is set.
// The error is fs.ErrExist if the name is taken; nothing of the file that has it matters. Owner,
// mode and attributes are those of the file that was opened or last committed, wherever that is by
// now, with the exceptions that Commit makes; or, if there was none yet, the mode is Config.Perm.
func (m *MmapMut) Link(name string) error { return m.LinkContext(context.Background(), name) }

// LinkContext is Link, given up if the context ends: see CommitContext.
func (m *MmapMut) LinkContext(ctx context.Context, name string) error {
	if !m.isValid() {
		return fs.ErrInvalid
	}
	m.committing.Lock()
	defer m.committing.Unlock()
	return linkError("link", m.name, name, m.link(ctx, name))
}

func (m *MmapMut) link(ctx context.Context, name string) error {
	if err := m.checkUsable(); err != nil {
		return err
	}
	to, err := lookupFree(m.config.Root, name)
	if err != nil {
		return err
	}
	defer to.Close()
	return m.publishCopy(ctx, to, publish.ReplaceNone)
}

// Chmod sets the permissions, set-id and sticky bits that the file gets with the next Commit or
// CommitAndClose, exactly as given: they are not subject to the umask, as Config.Perm is, and hold
// whichever file the commit replaces. Until then nothing of it can be seen. CommitTo and Link do
// not heed it. If the kernel does not give the file such a mode, the commit fails. A commit that
// fails leaves the mode to the next one. Chmod waits for a commit that is under way.
//
// With Config.InPlace the error is errors.ErrUnsupported: os.Chmod does it.
func (m *MmapMut) Chmod(mode fs.FileMode) error {
	if !m.isValid() {
		return fs.ErrInvalid
	}
	m.committing.Lock()
	defer m.committing.Unlock()
	if m.closed.Load() {
		return pathError("chmod", m.name, fs.ErrClosed)
	}
	if m.config.InPlace {
		err := fmt.Errorf("with Config.InPlace, os.Chmod does it: %w", errors.ErrUnsupported)
		return pathError("chmod", m.name, err)
	}
	perm := unixPerm(mode)
	m.origin.Chmod = &perm
	return nil
}

// checkUsable returns why the snapshot cannot be committed, if so. The caller holds committing.
func (m *MmapMut) checkUsable() error {
	if m.closed.Load() {
		return fs.ErrClosed
	}
	if m.broken != nil {
		return fmt.Errorf("an earlier commit failed: %w", m.broken)
	}
	return m.region.Lost()
}
