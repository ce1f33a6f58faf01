package publish

import (
	"os"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// removeLeftover removes what a crash left under a temporary name, and reports whether it did: a
// regular file of this process's user, or of owner, with no other name, which no process has locked
// or holds a lease on.
func removeLeftover(dir int, name string, owner uint32) bool {
	left := pathname.Location{DirFD: dir, Name: name, FD: -1}
	if left.OpenPathOnce() != nil {
		return false
	}
	defer left.CloseFD()
	ours := left.Stat.UID == owner || left.Stat.UID == uint32(os.Geteuid())
	return ours && left.Stat.Mode.IsRegular() && left.Stat.Nlink == 1 && removeUnlocked(&left)
}

// removeUnlocked removes the file at p, unless it is in use or has lost the name. It is in use if
// it is locked, or if another process has a lease on it, which a crash would have ended.
func removeUnlocked(p *pathname.Location) bool {
	fd, err := sys.Reopen(p.FD)
	if err != nil { // EAGAIN for a lease: the caller may have locked the directory
		return false
	}
	defer syscalls.Close(fd)
	if sys.TryFlock(fd) != nil {
		return false
	}
	// Under the lock nobody else removes it, and while it is there nobody can take the name: if
	// it still has the name now, it is what is removed.
	now := pathname.Location{DirFD: p.DirFD, Name: p.Name, FD: -1}
	if now.OpenPathOnce() != nil {
		return false
	}
	defer now.CloseFD()
	return pathname.SameInode(now.Stat, p.Stat) && sys.Unlinkat(p.DirFD, p.Name) == nil
}
