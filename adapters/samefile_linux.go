package adapters

import "syscall"

// sameInode reports whether two results of FileInfo.Sys describe one file.
func sameInode(a, b any) bool {
	x, ok := a.(*syscall.Stat_t)
	y, also := b.(*syscall.Stat_t)
	return ok && also && x.Dev == y.Dev && x.Ino == y.Ino
}
