package publish

import (
	"os"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// removeLeftovers removes what crashes left under the fixed temporary names of a file: regular
// files of this process's user or of the owner that own has got, with no other name, which no
// living process has locked.
func removeLeftovers(own, dir int, base string) {
	mine, err := sys.Fstat(own)
	if err != nil {
		return
	}
	for k := range uint64(fixedNames) {
		removeLeftover(dir, TempName(base, k), mine.UID)
	}
}

// removeLeftover does that for one temporary name; owner is whose it may be, too.
func removeLeftover(dir int, name string, owner uint32) {
	left := pathname.Location{DirFD: dir, Name: name, FD: -1}
	if left.OpenPath() != nil {
		return
	}
	defer syscalls.Close(left.FD)
	ours := left.Stat.UID == owner || left.Stat.UID == uint32(os.Geteuid())
	if ours && left.Stat.Mode.IsRegular() && left.Stat.Nlink == 1 {
		removeUnlocked(&left)
	}
}

// removeUnlocked removes the file at p, unless it is in use or has lost the name. It is in use if
// it is locked, or if another process has a lease on it, which a crash would have ended.
func removeUnlocked(p *pathname.Location) {
	fd, err := sys.Reopen(p.FD)
	if err != nil { // EAGAIN for a lease: nothing waits, as the caller has locked the directory
		return
	}
	defer syscalls.Close(fd)
	if sys.TryFlock(fd) != nil {
		return
	}
	// Under the lock nobody else removes it, and while it is there nobody can take the name: if
	// it still has the name now, it is what is removed.
	now := pathname.Location{DirFD: p.DirFD, Name: p.Name, FD: -1}
	if now.OpenPath() != nil {
		return
	}
	defer syscalls.Close(now.FD)
	if pathname.SameInode(now.Stat, p.Stat) {
		_ = sys.Unlinkat(p.DirFD, p.Name)
	}
}
