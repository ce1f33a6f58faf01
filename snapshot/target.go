package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/publish"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A target is what one look at the name of a publication finds. The name can lead to another file a
// moment later. Therefore all questions about the file, whether it is the expected one, who owns
// it, which attributes it has, are answered by this one descriptor.
type target struct {
	pathname.Location      // FD is -1 if the name is free
	isOwn             bool // the file is the one that was opened or last committed
}

// look opens what has the name of a publication now. If check is set, anything but the expected
// file, unchanged, is ErrConflict. The caller closes the target's file.
func (m *MmapMut) look(to *pathname.Location, check bool) (target, error) {
	t := target{Location: pathname.Location{DirFD: to.DirFD, Name: to.Name, FD: -1}}
	err := t.Location.OpenPath()
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
		if check {
			err = ErrConflict
		}
	} else if err == nil {
		err = m.recognize(&t, check)
	}
	if err != nil {
		t.CloseFD()
	}
	return t, err
}

// recognize compares the target's file, which is open, with the one that was opened or last
// committed.
func (m *MmapMut) recognize(t *target, check bool) error {
	if check {
		now, err := sys.FstatSync(t.FD)
		if pathname.IsGone(err) || err == nil && !pathname.SameVersion(*m.baseline, now) {
			return ErrConflict
		}
		if err != nil {
			return err
		}
	}
	if m.at.FD < 0 {
		return nil
	}
	// invariant: an inode number belongs to one file as long as a descriptor of that file is open.
	expected, err := sys.Fstat(m.at.FD)
	if pathname.IsGone(err) {
		return nil
	}
	t.isOwn = err == nil && pathname.SameInode(expected, t.Stat)
	return err
}

// setBaseline makes the file that this snapshot published under its own name the one that the next
// commit expects. file is a descriptor of OpenPath of that file, or -1, and is taken over.
func (m *MmapMut) setBaseline(stat syscalls.Stat, a *publish.Attributes, file int) {
	m.baseline, m.known = &stat, a
	m.at.CloseFD()
	m.at.FD = file
}

// attributesFor returns the attributes of the file that is published by p, or nil if the file is
// new in every respect.
func (m *MmapMut) attributesFor(p publish.Publication) (a *publish.Attributes, err error) {
	if p.NoReplace {
		return m.ownAttributes() // if a file has the name, the publication fails, whichever it is
	}
	for i := range retry.Attempts {
		a, err = m.attributesByLook(p)
		if !retry.IsTransient(err) {
			break
		}
		time.Sleep(time.Millisecond << i)
	}
	return a, err
}

func (m *MmapMut) attributesByLook(p publish.Publication) (*publish.Attributes, error) {
	t, err := m.look(p.To, p.Check)
	if err != nil {
		return nil, err
	}
	if t.FD < 0 {
		return m.ownAttributes()
	}
	defer t.CloseFD()
	if !t.Stat.Mode.IsRegular() {
		return nil, pathname.NotRegular(t.Stat.Mode)
	}
	if p.Adopt {
		if err := t.CheckSticky(); err != nil {
			return nil, err
		}
	}
	a, err := publish.AttributesOf(&t.Location)
	if pathname.IsUnreachable(err) {
		return nil, retry.Transient(err) // replaced since the look, on a server that goes by names
	}
	if err == nil {
		m.dropSetID(a, t.isOwn || !p.Adopt)
	}
	if t.isOwn || p.Adopt {
		return a, err
	}
	// Another file has the name. If its owner and mode were taken over, whoever moved it there
	// would decide who may read, execute or own these contents; if those of the opened file were,
	// contents could become readable that were made private meanwhile.
	var own *publish.Attributes
	if err == nil {
		own, err = m.ownAttributes()
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: another file has the name, and its owner and mode cannot be compared: %w",
			ErrConflict, err)
	case !own.SameAccess(a):
		return nil, fmt.Errorf("%w: another file has the name, with another owner, mode, ACL or security label",
			ErrConflict)
	}
	return a, nil
}

// ownLocation is where the file that was opened or last committed was then, with what fstat says of
// it now, or else said then. It holds no descriptor of its own.
func (m *MmapMut) ownLocation() pathname.Location {
	own := pathname.Location{DirFD: m.at.DirFD, Name: m.at.Name, FD: m.at.FD, Stat: *m.baseline}
	if now, err := sys.Fstat(own.FD); err == nil {
		own.Stat = now
	}
	return own
}

// ownAttributes returns the attributes of the file that was opened or last committed, wherever it
// is now, or nil if there was none yet.
func (m *MmapMut) ownAttributes() (*publish.Attributes, error) {
	if m.baseline == nil {
		return nil, nil
	}
	var a *publish.Attributes
	own, err := m.ownLocation(), pathname.Unreachable(fs.ErrNotExist)
	if own.FD >= 0 {
		a, err = publish.AttributesOf(&own)
	}
	if pathname.IsUnreachable(err) && m.known != nil {
		then := *m.known
		a, err = &then, nil
		a.UID, a.GID, a.Perm = own.Stat.UID, own.Stat.GID, own.Stat.Perm
	}
	if err != nil {
		return nil, err
	}
	m.dropSetID(a, true)
	return a, nil
}

// setID is the bits of a mode that give whoever executes the file its owner or group.
const setID = 0o6000

// dropSetID takes the set-id bits away that contents of this snapshot must not get. Bits that the
// caller asked for (Config.Perm) stay on a file of the caller's own. Bits of the file that was
// opened stay if this process has CAP_FSETID over it. Bits of any other file do not stay.
func (m *MmapMut) dropSetID(a *publish.Attributes, opened bool) {
	drop := a.Perm & setID
	if a.UID == uint32(os.Geteuid()) {
		drop &^= m.setID
	}
	if drop == 0 || opened && pathname.CapableOver(syscalls.CapFsetid, a.UID, a.GID) {
		return
	}
	a.Perm &^= drop
}
