package snapshot

import (
	"context"
	"errors"

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
	m.committing.Lock()
	defer m.committing.Unlock()
	return pathError("commit", m.name, m.commitAndClose())
}

func (m *MmapMut) commitAndClose() error {
	if err := m.checkUsable(); err != nil {
		return err
	}
	frozen, err := m.freeze()
	if err != nil {
		return err
	}
	if !frozen {
		return m.commitThenClose()
	}
	published, err := m.publishSelf()
	if published {
		return err
	}
	if uerr := m.unfreeze(); uerr != nil {
		return errors.Join(err, uerr, m.close())
	}
	if publish.NeedsTempName(err) || errors.Is(err, errAnew) {
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

// publishSelf gives the private file, which is frozen, the name, and closes the snapshot if it got
// it.
func (m *MmapMut) publishSelf() (published bool, err error) {
	p := m.selfPublication()
	attrs, err := m.attributesFor(p)
	if err != nil {
		return false, err
	}
	m.cannotLink = true
	t := publish.Unnamed(m.fd(), m.at.DirFD)
	var closing error
	published, err = m.publish(context.Background(), p, t, attrs, func() { closing = m.close() })
	if published {
		err = errors.Join(err, closing)
	}
	return published, err
}

// freeze makes the private file inaccessible, to slices of Bytes as well. It reports false, and does
// nothing, while a View or Prefetch is running or if the private file must not get a name.
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
