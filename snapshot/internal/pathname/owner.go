package pathname

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// CheckReplaceable returns an error if this process must not give the file at p, which is open, other
// contents.
func (p *Location) CheckReplaceable() error {
	if err := sys.AccessWrite(p.FD, p.DirFD, p.Name); err != nil {
		return err
	}
	return p.CheckSticky()
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
	if dir.Perm&sticky == 0 || dir.Perm&othersWrite == 0 {
		return nil
	}
	owner := p.Stat.UID
	if owner == uint32(os.Geteuid()) && p.belongsToCaller() ||
		owner == dir.UID && certainID(owner, "uid") {
		return nil
	}
	return fmt.Errorf("a file or link of another user (%d) in a sticky directory: %w", owner, syscall.EACCES)
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
