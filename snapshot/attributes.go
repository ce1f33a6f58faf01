package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// Attributes are what a file has besides its contents: owner, group, mode, and the extended
// attributes, among which are ACLs and security labels.
type attributes struct {
	uid, gid uint32
	perm     uint32
	names    []string
	values   [][]byte
}

// notCopied lists extended attributes that are not for us to copy.
var notCopied = []string{
	// They speak of the contents, which change. The kernel makes them anew.
	"security.ima", "security.evm",
	// XFS shows the ACLs to root under these names as well, in a form of its own.
	"trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT",
}

// readAttributes reads the attributes of a file that is open for reading.
func readAttributes(fd int) (*attributes, error) {
	st, err := sysFstat(fd)
	if err != nil {
		return nil, err
	}
	a := &attributes{uid: st.UID, gid: st.GID, perm: st.Perm}
	names, err := listAttributes(fd)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		value, err := sysFgetxattr(fd, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile; or trusted.*, which btrfs lists to those who may not read it
		}
		if err != nil {
			return nil, err
		}
		a.names = append(a.names, name)
		a.values = append(a.values, value)
	}
	return a, nil
}

// apply gives the file fd, which is ours, the attributes.
func (a *attributes) apply(fd int) error {
	own, err := sysFstat(fd)
	if err != nil {
		return err
	}
	// The owner first: a change of owner clears set-id bits and file capabilities.
	if own.UID != a.uid || own.GID != a.gid {
		if err := sysFchown(fd, a.uid, a.gid); err != nil {
			return fmt.Errorf("owner %d:%d cannot be kept (Config.InPlace would): %w", a.uid, a.gid, err)
		}
	}
	// The mode comes last: the owner needs permission to write to set attributes, and nobody else may
	// open the file before it has its own ACL, and only that.
	if err := sysFchmod(fd, 0o600); err != nil {
		return err
	}
	// The new file may have inherited some from its directory.
	inherited, err := listAttributes(fd)
	if err != nil {
		return err
	}
	for _, name := range inherited {
		if !slices.Contains(a.names, name) {
			if err := sysFremovexattr(fd, name); err != nil {
				return err
			}
		}
	}
	for i, name := range a.names {
		if slices.Contains(inherited, name) {
			if has, err := sysFgetxattr(fd, name); err == nil && bytes.Equal(has, a.values[i]) {
				continue // setting it, even to the same, may be forbidden
			}
		}
		if err := sysFsetxattr(fd, name, a.values[i]); err != nil {
			return fmt.Errorf("attribute cannot be kept (Config.InPlace would): %w", err)
		}
	}
	if own, err = sysFstat(fd); err != nil || own.Perm == a.perm { // an ACL has set it
		return err
	}
	if err := sysFchmod(fd, a.perm); err != nil {
		return err
	}
	// The kernel drops the set-group-ID bit without a word if the caller is not in the group.
	if own, err = sysFstat(fd); err == nil && own.Perm != a.perm {
		err = fmt.Errorf("mode %#o cannot be kept (Config.InPlace would): %w", a.perm, fs.ErrPermission)
	}
	return err
}

// equal reports whether two files have the same attributes.
func (a *attributes) equal(b *attributes) bool {
	return a.uid == b.uid && a.gid == b.gid && a.perm == b.perm &&
		slices.Equal(a.names, b.names) && slices.EqualFunc(a.values, b.values, bytes.Equal)
}

func listAttributes(fd int) ([]string, error) {
	names, err := sysFlistxattr(fd)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(notCopied, name) }), err
}

// attributes returns what the file published at p is to have: what the one that has the name
// now has, so that a chmod made since the snapshot stays; or else what fallback has, the file
// that had it last, unless that is -1; or nil.
func (p *place) attributes(fallback int) (a *attributes, err error) {
	for i := range attempts {
		a, err = p.attributesNow(fallback)
		if !errors.As(err, new(transient)) {
			break
		}
		time.Sleep(time.Millisecond << i)
	}
	return a, err
}

func (p *place) attributesNow(fallback int) (*attributes, error) {
	now := place{dir: p.dir, base: p.base, file: -1}
	switch err := now.look(); {
	case errors.Is(err, fs.ErrNotExist):
		if fallback < 0 {
			return nil, nil
		}
		fd, err := sysReopen(fallback)
		a, err := attributesOf(fd, err)
		if errors.Is(err, syscall.ESTALE) {
			err = fmt.Errorf("the file was removed, and its owner and mode are not known: %w", err)
		}
		return a, err
	case err != nil:
		return nil, err
	}
	defer syscalls.Close(now.file)
	if !now.stat.Mode.IsRegular() {
		return nil, notRegular(now.stat.Mode)
	}
	fd, err := sysReopen(now.file)
	if errors.Is(err, errors.ErrUnsupported) { // there is no /proc
		fd, err = now.openByName()
	}
	a, err := attributesOf(fd, err)
	if errors.Is(err, syscall.ESTALE) || errors.Is(err, fs.ErrNotExist) {
		err = transient{err} // replaced since, on a server that goes by names
	}
	return a, err
}

// attributesOf reads the attributes of a file that was opened for that, and closes it.
func attributesOf(fd int, err error) (*attributes, error) {
	if err != nil {
		return nil, err
	}
	defer syscalls.Close(fd)
	return readAttributes(fd)
}

// attributes returns what the file that is published at to is to have, or nil if it is new in
// every respect.
func (m *MmapMut) attributes(to *place) (*attributes, error) {
	if to != m.at {
		if a, err := to.attributes(-1); a != nil || err != nil {
			return a, err
		}
	}
	return m.at.attributes(m.at.file)
}

// attributesFor is attributes for a publication that may be of no use: if the file was removed, what
// it had may be gone with it.
func (m *MmapMut) attributesFor(p publication) (*attributes, error) {
	a, err := m.attributes(p.to)
	if err != nil && p.check != nil && errors.Is(p.check(), ErrConflict) {
		err = ErrConflict
	}
	return a, err
}
