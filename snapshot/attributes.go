package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

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
	// The kernel removes it when the contents change, whoever writes (file_remove_privs).
	"security.capability",
	// XFS shows the ACLs to root under these names as well, in a form of its own.
	"trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT",
}

// readAttributes reads the attributes of a file that is open for reading, as they are at one
// moment: what the group bits of a mode mean depends on whether there is an ACL.
func readAttributes(fd int) (*attributes, error) {
	before, err := sysFstat(fd)
	for range attempts {
		if err != nil {
			return nil, err
		}
		a, err := readAttributesOnce(fd, before)
		if err != nil {
			return nil, err
		}
		after, err := sysFstat(fd)
		if err != nil {
			return nil, err
		}
		if after.Ctime.Equal(before.Ctime) &&
			after.Perm == before.Perm && after.UID == before.UID && after.GID == before.GID {
			return a, nil
		}
		before = after
	}
	return nil, fmt.Errorf("%w: its attributes change all the time", errConflict)
}

func readAttributesOnce(fd int, st syscalls.Stat) (*attributes, error) {
	a := &attributes{uid: st.UID, gid: st.GID, perm: st.Perm}
	names, err := listAttributes(fd)
	if err != nil {
		return nil, err
	}
	slices.Sort(names) // two files may list the same names in different orders
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
	// The mode comes last: the owner needs permission to write to set attributes, and no other user
	// may open the file, by a temporary name, before it has its own group and ACL, and only these.
	if err := sysFchmod(fd, 0o600); err != nil {
		return err
	}
	// A change of owner clears set-id bits.
	if own.UID != a.uid || own.GID != a.gid {
		if err := sysFchown(fd, a.uid, a.gid); err != nil {
			return fmt.Errorf("owner %d:%d cannot be kept (Config.InPlace would): %w", a.uid, a.gid, err)
		}
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
	return checkPerm(fd, a.perm)
}

// checkPerm returns an error if fd does not have the mode that fchmod gave it: the kernel drops the
// set-group-ID bit without a word if the caller is not in the group.
func checkPerm(fd int, perm uint32) error {
	own, err := sysFstat(fd)
	if err == nil && own.Perm != perm {
		err = fmt.Errorf("mode %#o cannot be set: %w", perm, fs.ErrPermission)
	}
	return err
}

// equal reports whether two files have the same attributes.
func (a *attributes) equal(b *attributes) bool {
	return a.uid == b.uid && a.gid == b.gid && a.perm == b.perm &&
		slices.Equal(a.names, b.names) && slices.EqualFunc(a.values, b.values, bytes.Equal)
}

// sameAccess reports whether two files may be read, written and executed by the same users, as far
// as owner, group, mode, ACLs and security labels decide that.
func (a *attributes) sameAccess(b *attributes) bool {
	return a.access().equal(b.access())
}

// access is the part of the attributes that decides who may do what with the file.
func (a *attributes) access() *attributes {
	part := &attributes{uid: a.uid, gid: a.gid, perm: a.perm}
	for i, name := range a.names {
		if strings.HasPrefix(name, "security.") || strings.HasPrefix(name, "system.") {
			part.names = append(part.names, name)
			part.values = append(part.values, a.values[i])
		}
	}
	return part
}

func listAttributes(fd int) ([]string, error) {
	names, err := sysFlistxattr(fd)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(notCopied, name) }), err
}

// attributesOf reads the attributes of the file at p.
func attributesOf(p *place) (*attributes, error) {
	fd, err := p.reopen(sysReopen, sysOpenRead)
	if err != nil {
		return nil, err
	}
	defer syscalls.Close(fd)
	a, err := readAttributes(fd)
	if gone(err) {
		err = markUnreachable(err)
	}
	return a, err
}
