package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/publish"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// publishCopy makes a copy of the contents and publishes it. The attributes that it asks for first
// are a guess, which saves work if it is right, and an early failure if the name leads to a file
// that must not be replaced: publish asks again, under the lock, and only that answer counts.
func (m *MmapMut) publishCopy(ctx context.Context, p publish.Publication) error {
	var attrs *publish.Attributes
	err := errAnew
	for i := 0; errors.Is(err, errAnew) && i < anewTries; i++ {
		if attrs, err = m.attributesFor(p); err != nil {
			return err
		}
		var done, hadTempName bool
		done, hadTempName, err = m.publishNew(ctx, p, attrs)
		if !done && !hadTempName && publish.NeedsTempName(err) {
			before := m.needTempName
			m.needTempName = true
			done, _, err = m.publishNew(ctx, p, attrs)
			m.needTempName = before || done && p.To == m.at
		}
	}
	m.defragState.Run(ctx, m.config.options(false), m.fd(), m.at.DirFD, m.Size())
	return err
}

// errAnew means that a publication has to begin anew, with another temporary file: this one has the
// owner and mode of a file that was to be replaced and is gone, so that it cannot become what the
// kernel makes of a new file; or it had other attributes while it had a temporary name, so that
// another user may have opened it.
var errAnew = fmt.Errorf("%w: its attributes, or whether it is there, change all the time", ErrConflict)

const anewTries = 3

// publishNew does that with one temporary file. It reports whether that got the name, and whether
// it had a temporary one.
func (m *MmapMut) publishNew(
	ctx context.Context, p publish.Publication, attrs *publish.Attributes,
) (done, hadTempName bool, err error) {
	perm := uint32(0) // no other user may open it before it has its owner and mode
	if attrs == nil {
		perm = m.config.perm()
	}
	t, err := publish.NewTemporary(p.To.DirFD, p.To.Name, perm, m.needTempName)
	if err != nil {
		return false, true, err
	}
	defer t.Discard()
	hadTempName = t.Name != ""
	if err := m.copyTo(ctx, t.FD); err != nil {
		return false, true, err
	}
	done, err = m.publish(ctx, p, &t, attrs, t.Close)
	return done, hadTempName, err
}

// publish makes t, which holds the contents, durable, with the attributes attrs or those that are
// right by now, and names it. Under the snapshot's own name it remembers it as the file that the
// next commit expects. It reports whether t got the name, and if so has called release at once, to
// close it: while it is open for writing, executing it is ETXTBSY, and nobody gets a lease.
func (m *MmapMut) publish(ctx context.Context, p publish.Publication, t *publish.Temporary, attrs *publish.Attributes, release func()) (bool, error) {
	fd := t.FD
	if attrs == nil {
		if err := m.restoreSetID(fd); err != nil {
			return false, err
		}
	} else if err := attrs.Apply(fd); err != nil {
		return false, err
	}
	// The data reach the disk before the name, always: else a crash would leave zeros or an
	// empty file.
	if err := m.syncFile(fd); err != nil {
		return false, err
	}
	var before syscalls.Stat
	var given *publish.Attributes
	p.BeforeRename = func() (err error) {
		// A chmod that was made while the data were copied and written counts.
		now, err := m.attributesFor(p)
		if err != nil {
			return err
		}
		if given = now; now == nil {
			if attrs != nil {
				return errAnew
			}
			if given, err = publish.ReadAttributes(fd); err != nil {
				return err
			}
		} else if attrs == nil || !now.Equal(attrs) {
			if t.Name != "" {
				return errAnew
			}
			if err := now.Apply(fd); err != nil {
				return err
			}
			if err := m.syncFile(fd); err != nil {
				return err
			}
		}
		before, err = sys.Fstat(fd)
		return err
	}
	p.AfterRename = func(file int) {
		defer release()
		if p.To != m.at {
			if file >= 0 {
				_ = syscalls.Close(file)
			}
			return
		}
		// Naming it changed its change time. The rest is from when no other process could change it.
		if after, err := sys.Fstat(fd); err == nil {
			before.Ctime = after.Ctime
		}
		m.setBaseline(before, given, file)
	}
	done, err := p.Run(ctx, t)
	if !done && p.NoReplace && p.To == m.at && errors.Is(err, fs.ErrExist) {
		err = ErrConflict
	}
	return done, err
}

// restoreSetID gives a new file the set-id bits of Config.Perm back, which the kernel takes away
// when an ordinary user writes to it.
func (m *MmapMut) restoreSetID(fd int) error {
	bits := m.setID
	if bits == 0 {
		return nil
	}
	own, err := sys.Fstat(fd)
	if err != nil {
		return err
	}
	if err := sys.Fchmod(fd, own.Perm|bits); err != nil {
		return err
	}
	return publish.CheckPerm(fd, own.Perm|bits)
}
