package publish

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// Attributes are what a file has besides its contents: owner, group, mode, and the extended
// attributes, among which are ACLs and security labels.
type Attributes struct {
	UID, GID uint32
	Perm     uint32
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

// ReadAttributes reads the attributes of a file that is open, by OpenPath too, as they are at one
// moment: what the group bits of a mode mean depends on whether there is an ACL.
func ReadAttributes(fd int) (*Attributes, error) {
	before, err := sys.Fstat(fd)
	for range retry.Attempts {
		if err != nil {
			return nil, err
		}
		a, err := readAttributesOnce(fd, before)
		if err != nil {
			return nil, err
		}
		after, err := sys.Fstat(fd)
		if err != nil {
			return nil, err
		}
		if after.Ctime.Equal(before.Ctime) &&
			after.Perm == before.Perm && after.UID == before.UID && after.GID == before.GID {
			return a, nil
		}
		before = after
	}
	return nil, errChanging
}

func readAttributesOnce(fd int, st syscalls.Stat) (*Attributes, error) {
	a := &Attributes{UID: st.UID, GID: st.GID, Perm: st.Perm}
	names, err := listAttributes(fd)
	if err != nil {
		return nil, err
	}
	slices.Sort(names) // two files may list the same names in different orders
	for _, name := range names {
		value, err := sys.Fgetxattr(fd, name)
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

// apply gives the file fd, which is ours, the attributes. The caller checks the mode.
func (a *Attributes) apply(fd int) error {
	own, err := sys.Fstat(fd)
	if err != nil {
		return err
	}
	// A change of owner clears set-id bits.
	if own.UID != a.UID || own.GID != a.GID {
		if err := sys.Fchown(fd, a.UID, a.GID); err != nil {
			return fmt.Errorf("owner %d:%d cannot be kept: %w", a.UID, a.GID, err)
		}
	}
	if err := a.applyExtended(fd, own.Perm); err != nil {
		return err
	}
	// The mode comes last: no other user may open the file, by a temporary name, before it has its
	// own group and ACL, and only these.
	return sys.Fchmod(fd, a.Perm)
}

// applyExtended sets the extended attributes of the file fd, whose mode is perm.
func (a *Attributes) applyExtended(fd int, perm uint32) error {
	inherited, err := listAttributes(fd) // the new file may have got some from its directory
	if err != nil || len(inherited)+len(a.names) == 0 {
		return err
	}
	const ownerOnly = 0o600 // the owner needs permission to write to set attributes
	if perm != ownerOnly {
		if err := sys.Fchmod(fd, ownerOnly); err != nil {
			return err
		}
	}
	for _, name := range inherited {
		if !slices.Contains(a.names, name) {
			if err := sys.Fremovexattr(fd, name); err != nil {
				return err
			}
		}
	}
	for i, name := range a.names {
		if slices.Contains(inherited, name) {
			if has, err := sys.Fgetxattr(fd, name); err == nil && bytes.Equal(has, a.values[i]) {
				continue // setting it, even to the same, may be forbidden
			}
		}
		if err := sys.Fsetxattr(fd, name, a.values[i]); err != nil {
			return fmt.Errorf("attribute %s cannot be kept: %w", name, err)
		}
	}
	return nil
}

// Equal reports whether two files have the same attributes, or both have none yet.
func (a *Attributes) Equal(b *Attributes) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.UID == b.UID && a.GID == b.GID && a.Perm == b.Perm &&
		slices.Equal(a.names, b.names) && slices.EqualFunc(a.values, b.values, bytes.Equal)
}

// SameAccess reports whether two files may be read, written and executed by the same users, as far
// as owner, group, mode, ACLs and security labels decide that.
func (a *Attributes) SameAccess(b *Attributes) bool {
	return a.access().Equal(b.access())
}

// access is the part of the attributes that decides who may do what with the file.
func (a *Attributes) access() *Attributes {
	part := &Attributes{UID: a.UID, GID: a.GID, Perm: a.Perm}
	for i, name := range a.names {
		if strings.HasPrefix(name, "security.") || strings.HasPrefix(name, "system.") {
			part.names = append(part.names, name)
			part.values = append(part.values, a.values[i])
		}
	}
	return part
}

func listAttributes(fd int) ([]string, error) {
	names, err := sys.Flistxattr(fd)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("extended attributes cannot be read: %w", err)
	}
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(notCopied, name) }), nil
}

// AttributesOf reads the attributes of the file at p. It opens the file only where its descriptor
// does not do, so that it meets no lease.
func AttributesOf(p *pathname.Location) (*Attributes, error) {
	a, err := ReadAttributes(p.FD)
	if !pathname.IsGone(err) && !errors.Is(err, syscall.EBADF) { // there is no /proc
		return a, err
	}
	fd, err := p.OpenByName(sys.OpenRead)
	if err != nil {
		return nil, err
	}
	defer syscalls.Close(fd)
	if a, err = ReadAttributes(fd); pathname.IsGone(err) {
		err = pathname.Unreachable(err)
	}
	return a, err
}
