package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A publication gives a temporary, complete and durable, its name.
type publication struct {
	to     *place
	noSync bool
	check  bool // the name must lead to the expected file, unchanged, under the directory's lock
	fresh  bool // the name must be free
	adopt  bool // any file that has the name is replaced, and its owner and mode are taken over

	// settle is called last before t is named, and named at once afterwards, with a descriptor
	// of OpenPath of it, or -1, which it takes over.
	settle func() error
	named  func(file int)
}

// publishCopy makes a copy of the contents and publishes it. The attributes that it asks for first
// are a guess, which saves work if it is right, and an early failure if the name leads to a file
// that must not be replaced: publish asks again, under the lock, and only that answer counts.
func (m *MmapMut) publishCopy(ctx context.Context, p publication) error {
	var attrs *attributes
	err := errAnew
	for i := 0; errors.Is(err, errAnew) && i < anewTries; i++ {
		if attrs, err = m.attributesFor(p); err != nil {
			return err
		}
		var done, named bool
		done, named, err = m.publishNew(ctx, p, attrs)
		if !done && !named && wantsName(err) {
			before := m.named
			m.named = true
			done, _, err = m.publishNew(ctx, p, attrs)
			m.named = before || done && p.to == m.at
		}
	}
	m.flatten(ctx)
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
func (m *MmapMut) publishNew(ctx context.Context, p publication, attrs *attributes) (done, named bool, err error) {
	perm := uint32(0) // no other user may open it before it has its owner and mode
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

// publish makes t, which holds the contents, durable, with the attributes attrs or those that are
// right by now, and names it. Under the snapshot's own name it remembers it as the file that the
// next commit expects. It reports whether t got the name, and if so has called release at once, to
// close it: while it is open for writing, executing it is ETXTBSY, and nobody gets a lease.
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
	var given *attributes
	p.settle = func() (err error) {
		// A chmod that was made while the data were copied and written counts.
		now, err := m.attributesFor(p)
		if err != nil {
			return err
		}
		if given = now; now == nil {
			if attrs != nil {
				return errAnew
			}
			if given, err = readAttributes(fd); err != nil {
				return err
			}
		} else if attrs == nil || !now.equal(attrs) {
			if t.name != "" {
				return errAnew
			}
			if err := now.apply(fd); err != nil {
				return err
			}
			if err := m.syncFile(fd); err != nil {
				return err
			}
		}
		before, err = sysFstat(fd)
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
		// Naming it changed its change time. The rest is from when no other process could change it.
		if after, err := sysFstat(fd); err == nil {
			before.Ctime = after.Ctime
		}
		m.expect(before, given, file)
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
	bits := m.setID
	if bits == 0 {
		return nil
	}
	own, err := sysFstat(fd)
	if err != nil {
		return err
	}
	if err := sysFchmod(fd, own.Perm|bits); err != nil {
		return err
	}
	return checkPerm(fd, own.Perm|bits)
}

// do names the file t. It reports whether it did. If it did not, nothing has changed, but t may
// never get a name again.
func (p publication) do(ctx context.Context, t *temporary) (done bool, err error) {
	// The directory is opened before anything changes, so that lacking the permission to make
	// it durable leaves everything as it was.
	names, err := sysReopenDir(p.to.dir)
	if err == nil {
		defer syscalls.Close(names)
		if err = lockDirectory(ctx, names); !p.check {
			err = nil // it matters to those who check
		}
	} else if p.noSync && !p.check {
		err = nil // what it is needed for is not wanted
	}
	if err != nil {
		return false, fmt.Errorf("directory: %w", err)
	}
	removeLeftovers(t.fd, p.to.dir, p.to.base)
	if err := p.settle(); err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	name := t.replace
	if p.fresh {
		name = t.link
	}
	file, err := name(p.to.base)
	if err != nil {
		return false, err
	}
	p.named(file)
	if p.noSync {
		return true, nil
	}
	_ = sysFunlock(names) // others need not wait for the disk
	return true, durable(names)
}

// durable brings the names in a directory to the disk.
func durable(names int) error {
	err := sysFsync(names)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		return nil // no such thing on this filesystem
	}
	if err == nil {
		// An XFS that has shut itself down reports success for a directory all the same (measured
		// on Linux 6.18; a crash test found commits lost so). Looking at it fails.
		_, err = sysFstat(names)
	}
	if err != nil {
		return fmt.Errorf("%w: directory: %w", ErrNotDurable, err)
	}
	return nil
}

// lockTries is how often the lock on a directory is tried for: half a second in all. It is held
// for a few system calls at a time.
const lockTries = 9

// lockDirectory takes the lock under which users of this library change names in a directory.
func lockDirectory(ctx context.Context, names int) error {
	for i := 0; ; i++ {
		err := sysTryFlock(names)
		if !errors.Is(err, syscall.EAGAIN) || i == lockTries {
			return err
		}
		if err := pause(ctx, i); err != nil {
			return err
		}
	}
}
