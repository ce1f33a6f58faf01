package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// setAttributes gives what was copied under the name of e owner, capabilities, mode and times of e,
// and describes what came of it in e.
func (c *copier) setAttributes(ctx context.Context, e *entry) error {
	name, root := string(e.Path), os.Geteuid() == 0
	if uid, gid, ok := owner(e.info); ok && root {
		// First of all: to change the owner clears capabilities and bits of the mode.
		if err := c.dst.Lchown(name, uid, gid); err != nil {
			return err
		}
	}
	made, err := c.dst.Lstat(name)
	if err != nil {
		return err
	}
	e.UID, e.GID, _ = owner(made)
	if e.isSymlink() {
		return nil // has no mode, and package os cannot set its times
	}
	f, err := openSame(ctx, c.dst, name, made)
	switch {
	case err == nil:
		defer f.Close()
	case !errors.Is(err, fs.ErrPermission): // an ordinary user copies files of mode 0
		return err
	}
	if e.capability != nil && root && f != nil {
		if err := syscalls.Fsetxattr(int(f.Fd()), capabilityName, e.capability); err != nil {
			c.lackOf(name, "without its file capabilities: "+err.Error())
		}
	}
	if err := c.dst.Chmod(name, e.info.Mode()); err != nil {
		return err
	}
	if err := c.dst.Chtimes(name, e.ModTime, e.ModTime); err != nil {
		return err
	}
	if e.Xattrs = unreadable; f != nil {
		e.Xattrs, err = hashXattrs(f)
		return err
	}
	return nil
}

const capabilityName = "security.capability"

// readCapability notes the capabilities of the open file in e. The snapshot is taken afterwards:
// see checkCapability.
func (e *entry) readCapability(f *os.File) error {
	before, err := f.Stat()
	if err != nil {
		return err
	}
	e.before = before
	e.capability, err = syscalls.Fgetxattr(int(f.Fd()), capabilityName)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported) {
		e.capability, err = nil, nil
	}
	return err
}

// checkCapability returns an error if the capabilities may belong to other contents than those of
// the snapshot. The kernel takes capabilities from a file that is written to.
func (e *entry) checkCapability(taken fs.FileInfo) error {
	if e.capability != nil && !changeTime(e.before).Equal(changeTime(taken)) {
		return &lackError{errors.New("has capabilities, and changed while they were read")}
	}
	return nil
}

// unreadable is in place of the hash if the process may not read the extended attributes.
const unreadable = "unreadable"

// notHashed are the extended attributes that belong to the kernel.
var notHashed = []string{
	"security.ima", "security.evm",
	"trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT", // ACLs, as XFS shows them to root
}

// hashXattrs returns a hash of the extended attributes of an open file, ACLs and capabilities
// among them, or "" if it has none.
func hashXattrs(f *os.File) (string, error) {
	names, err := syscalls.Flistxattr(int(f.Fd()))
	if errors.Is(err, errors.ErrUnsupported) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	slices.Sort(names)
	h, found := sha256.New(), false
	for _, name := range names {
		if slices.Contains(notHashed, name) {
			continue
		}
		value, err := syscalls.Fgetxattr(int(f.Fd()), name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // btrfs names trusted attributes to users who may not read them
		}
		if errors.Is(err, fs.ErrPermission) {
			return unreadable, nil
		}
		if err != nil {
			return "", err
		}
		found = true
		fmt.Fprintf(h, "%q %q\n", name, value)
	}
	if !found {
		return "", nil
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
