package snapshot

import (
	"os"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// removeLeftovers removes what crashes left under the fixed temporary names of a file: regular
// files of this process's user or of the owner that own has got, with no other name, which no
// living process has locked.
func removeLeftovers(own, dir int, base string) {
	mine, err := sysFstat(own)
	if err != nil {
		return
	}
	for k := range uint64(slots) {
		removeLeftover(dir, slot(base, k), mine.UID)
	}
}

// removeLeftover does that for one temporary name; owner is whose it may be, too.
func removeLeftover(dir int, name string, owner uint32) {
	left := place{dir: dir, base: name, file: -1}
	if left.look() != nil {
		return
	}
	defer syscalls.Close(left.file)
	ours := left.stat.UID == owner || left.stat.UID == uint32(os.Geteuid())
	if ours && left.stat.Mode.IsRegular() && left.stat.Nlink == 1 {
		removeUnlocked(&left)
	}
}

// removeUnlocked removes the file at p, unless it is locked or has lost the name.
func removeUnlocked(p *place) {
	fd, err := sysReopen(p.file)
	if err != nil {
		return
	}
	defer syscalls.Close(fd)
	if sysTryFlock(fd) != nil {
		return
	}
	// Under the lock nobody else removes it, and while it is there nobody can take the name: if
	// it still has the name now, it is what is removed.
	now := place{dir: p.dir, base: p.base, file: -1}
	if now.look() != nil {
		return
	}
	defer syscalls.Close(now.file)
	if sameInode(now.stat, p.stat) {
		_ = sysUnlinkat(p.dir, p.base)
	}
}
