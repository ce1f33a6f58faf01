package snapshot

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// replaceable returns an error if this process must not give the file at p, which is open, other
// contents.
func (p *place) replaceable() error {
	if err := sysCanWrite(p.file, p.dir, p.base); err != nil {
		return err
	}
	return p.mayReplace()
}

// mayReplace returns an error if the file at p is one that the kernel protects with
// fs.protected_regular=2 (proc(5)): the directory is sticky and writable for group or others, and
// the file belongs neither to the caller nor to the owner of the directory. Another user put such a
// file there, perhaps to become the owner of the contents. The rule does not depend on the sysctl,
// because it protects from that, not from O_CREAT. The same holds for a symbolic link at p, which
// fs.protected_symlinks protects.
func (p *place) mayReplace() error {
	dir, err := sysFstat(p.dir)
	if err != nil {
		return err
	}
	const sticky, othersWrite = 0o1000, 0o022
	if dir.Perm&sticky == 0 || dir.Perm&othersWrite == 0 {
		return nil
	}
	owner := p.stat.UID
	if owner == uint32(os.Geteuid()) && p.belongsToCaller() ||
		owner == dir.UID && certainID(owner, "uid") {
		return nil
	}
	return fmt.Errorf("a file or link of another user (%d) in a sticky directory: %w", owner, syscall.EACCES)
}

// belongsToCaller reports whether the file at p, whose owner has the number of this process's user,
// does belong to that user.
func (p *place) belongsToCaller() bool {
	if certainID(p.stat.UID, "uid") {
		return true
	}
	fd, err := sysReopen(p.file)
	if err != nil {
		return false
	}
	defer syscalls.Close(fd)
	return sysSetNoAtime(fd) == nil
}

// capableOver reports whether this process has a capability over a file of this owner and group, in
// the sense of capable_wrt_inode_uidgid of the kernel: its user namespace maps both.
func capableOver(capability int, uid, gid uint32) bool {
	ok, err := sysCapable(capability)
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
