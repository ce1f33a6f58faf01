package pathname

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// CheckReplaceable returns an error if this process must not or cannot replace the file at p, which
// is open and was not opened by the caller.
func (p *Location) CheckReplaceable() error {
	isMountPoint, err := p.CheckWritable()
	if err != nil {
		return err
	}
	if isMountPoint {
		return MountPoint()
	}
	return p.CheckSticky()
}

// A ReplaceError is why a file cannot be replaced by a new one, which is no reason against a change
// of its contents in place.
type ReplaceError struct {
	Reason string
	Err    error
}

func (e *ReplaceError) Error() string { return e.Reason + ": " + e.Err.Error() }
func (e *ReplaceError) Unwrap() error { return e.Err }

// MountPoint returns the error of a name that leads to a file mounted there: a rename cannot
// replace it, whatever the permissions.
func MountPoint() error { return &ReplaceError{"the name is a mount point", syscall.EBUSY} }

// CheckWritable returns an error if this process may not write to the file at p, which is open, or
// if the file can neither be changed nor renamed over, for a flag that chattr(1) sets. It also
// reports whether the name is a mount point.
func (p *Location) CheckWritable() (isMountPoint bool, err error) {
	err = sys.AccessWrite(p.FD, p.DirFD, p.Name)
	if err != nil && !errors.Is(err, syscall.EPERM) { // EPERM may mean that the file is immutable
		return false, OfName(err)
	}
	flags, flagsErr := sys.FileFlags(p.FD)
	switch {
	case flags&syscalls.FlagImmutable != 0:
		err = fmt.Errorf("the file is immutable (chattr +i): %w", syscall.EPERM)
	case flags&syscalls.FlagAppendOnly != 0: // access(2) does not know this one
		err = fmt.Errorf("the file is append-only (chattr +a): %w", syscall.EPERM)
	case err == nil && !errors.Is(flagsErr, errors.ErrUnsupported) && !IsGone(flagsErr):
		err = flagsErr // of a file that was replaced, the flags do not matter
	}
	return flags&syscalls.FlagMountRoot != 0, OfName(err)
}

// CheckOwner returns an error if this process cannot give a new file in the directory of p the
// owner and group of the file at p. unnamed describes a new file of this process there. If these
// two differ in owner or group, CheckOwner tries fchown on another unnamed file, which it closes:
// the answer depends on capabilities, groups, user namespaces and the filesystem. Other errors than
// those of fchown(2) for such a reason are left to the commit: a FUSE server may know unnamed
// files, but not change them.
func (p *Location) CheckOwner(unnamed syscalls.Stat) error {
	if unnamed.UID == p.Stat.UID && unnamed.GID == p.Stat.GID {
		return nil
	}
	fd, err := sys.Tmpfile(p.DirFD, 0)
	if err != nil {
		return nil //nolint:nilerr // it is not known
	}
	defer syscalls.Close(fd)
	err = sys.Fchown(fd, p.Stat.UID, p.Stat.GID)
	if errors.Is(err, syscall.EPERM) || // no capability, or not a group of the caller
		errors.Is(err, syscall.EINVAL) { // an owner that the user namespace does not map
		return &ReplaceError{fmt.Sprintf("owner %d:%d cannot be kept", p.Stat.UID, p.Stat.GID), err}
	}
	return nil
}

// CheckSticky returns an error if the file at p is one that the kernel protects with
// fs.protected_regular=2 (proc(5)): the directory is sticky and writable for group or others, and
// the file belongs neither to the caller nor to the owner of the directory. Another user put such a
// file there, perhaps to become the owner of the contents. The rule does not depend on the sysctl,
// because it protects from that, not from O_CREAT. The same holds for a symbolic link at p, which
// fs.protected_symlinks protects.
func (p *Location) CheckSticky() error {
	dir, err := sys.Fstat(p.DirFD)
	if err != nil {
		return err
	}
	const sticky, othersWrite = 0o1000, 0o022
	if dir.Perm&sticky == 0 || dir.Perm&othersWrite == 0 || p.isTrusted(dir) {
		return nil
	}
	return fmt.Errorf("it belongs to another user (%d) and lies in a sticky directory: %w",
		p.Stat.UID, syscall.EACCES)
}

// protectedSymlinks holds 1 if the kernel protects links in sticky directories (proc(5)). It is a
// constant, but in tests.
var protectedSymlinks = "/proc/sys/fs/protected_symlinks"

// checkProtectedLink returns an error if the kernel does not follow the symbolic link at p, which
// lies in the directory dir: fs.protected_symlinks (proc(5)).
func (p *Location) checkProtectedLink(dir syscalls.Stat) error {
	const sticky, othersWrite = 0o1000, 0o002
	if dir.Perm&sticky == 0 || dir.Perm&othersWrite == 0 || p.isTrusted(dir) {
		return nil
	}
	text, err := os.ReadFile(protectedSymlinks)
	if err == nil && strings.TrimSpace(string(text)) == "0" {
		return nil
	}
	return syscall.EACCES
}

// isTrusted reports whether the file or link at p belongs to this process's user or to the owner of
// the directory dir that it lies in.
func (p *Location) isTrusted(dir syscalls.Stat) bool {
	owner := p.Stat.UID
	return owner == uint32(os.Geteuid()) && p.belongsToCaller() ||
		owner == dir.UID && certainID(owner, "uid")
}

// belongsToCaller reports whether the file at p, whose owner has the number of this process's user,
// does belong to that user. If another process has a lease on the file, the answer is no: a commit
// asks under the lock on the directory, where nothing may wait.
func (p *Location) belongsToCaller() bool {
	if certainID(p.Stat.UID, "uid") {
		return true
	}
	fd, err := sys.Reopen(p.FD)
	if err != nil {
		return false
	}
	defer syscalls.Close(fd)
	return sys.SetNoAtime(fd) == nil
}

// CapableOver reports whether this process has a capability over a file of this owner and group, in
// the sense of capable_wrt_inode_uidgid of the kernel: its user namespace maps both.
func CapableOver(capability int, uid, gid uint32) bool {
	ok, err := sys.Capable(capability)
	return err == nil && ok && certainID(uid, "uid") && certainID(gid, "gid")
}

// certainID reports whether an owner (kind "uid") or group (kind "gid") that the kernel shows for a
// file is the real one. All that the user namespace of this process does not map have one number in
// common, the overflow ID (user_namespaces(7)).
func certainID(id uint32, kind string) bool {
	if mapsAll(kind) {
		return true
	}
	overflow := uint64(65534)
	if text, err := os.ReadFile("/proc/sys/kernel/overflow" + kind); err == nil {
		if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32); err == nil {
			overflow = n
		}
	}
	return uint64(id) != overflow
}

// mapsAll reports whether the user namespace of this process maps every ID to itself, as the
// initial one does.
func mapsAll(kind string) bool {
	text, err := os.ReadFile("/proc/self/" + kind + "_map")
	return err == nil && strings.Join(strings.Fields(string(text)), " ") == "0 0 4294967295"
}
