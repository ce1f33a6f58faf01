package snapshot

import (
	"context"
	"errors"
	"io/fs"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/publish"
)

// CommitAndClose is Commit and Close in one, and costs no clone or copy on any filesystem: the
// private file itself becomes the file. Slices of Bytes are invalid from the start, even if it
// fails.
//
// If it fails, the file is as it was and the snapshot is open as before, unless the error is
// ErrNotDurable: then it is closed, too. Methods that are called while it works return
// fs.ErrClosed. While a View or Prefetch is running, it does what Commit and Close do.
func (m *MmapMut) CommitAndClose() error {
	if !m.isValid() {
		return fs.ErrInvalid
	}
	m.committing.Lock()
	defer m.committing.Unlock()
	return pathError("commit", m.name, m.commitAndClose())
}

func (m *MmapMut) commitAndClose() error {
	if err := m.checkUsable(); err != nil {
		return err
	}
	if err := m.origin.At.RequireDir(); err != nil {
		return err
	}
	frozen, err := m.freeze()
	if err != nil {
		return err
	}
	if !frozen {
		return m.commitThenClose()
	}
	private := publish.Ready(m.fd(), m.origin.At.DirFD, m.close)
	published, err := publish.Publish(context.Background(), publish.Request{
		Origin: &m.origin, To: m.origin.At, Replace: m.ownReplace(), NoSync: m.config.NoSync,
		Ready: private,
	})
	if published {
		return err
	}
	m.cannotLink = private.Spent
	if publish.IsSyncError(err) {
		m.region.NoteLost(err)
	}
	if uerr := m.unfreeze(); uerr != nil {
		return errors.Join(err, uerr, m.close())
	}
	if publish.NeedsCopy(err) {
		return m.commitThenClose()
	}
	return err
}

func (m *MmapMut) commitThenClose() error {
	err := m.commit(context.Background())
	if err != nil && !errors.Is(err, ErrNotDurable) {
		return err
	}
	return errors.Join(err, m.close())
}

// freeze makes the private file inaccessible, to slices of Bytes as well. It reports false, and
// does nothing, while a View or Prefetch is running or if the private file must not get a name.
func (m *MmapMut) freeze() (bool, error) {
	m.store.Lock()
	defer m.store.Unlock()
	if m.cannotLink || !m.views.TryLock() {
		return false, nil
	}
	defer m.views.Unlock()
	if err := m.trim(); err != nil {
		return false, err
	}
	if err := m.region.Protect(true); err != nil {
		return false, err
	}
	m.closed.Store(true)
	if err := m.region.Lost(); err != nil { // a read got the report that fsync would get
		return false, errors.Join(err, m.unfreeze())
	}
	return true, nil
}

// unfreeze undoes freeze.
func (m *MmapMut) unfreeze() error {
	if err := m.region.Protect(false); err != nil {
		return err
	}
	m.closed.Store(false)
	return nil
}
