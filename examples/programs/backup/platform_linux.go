package main

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// owner returns to whom a file belongs.
func owner(fi fs.FileInfo) (uid, gid int, ok bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(st.Uid), int(st.Gid), true
}

// links returns how many names a file has.
func links(fi fs.FileInfo) uint64 {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 1
	}
	return uint64(st.Nlink) //nolint:unconvert // uint32 on some architectures
}

// changeTime returns when the inode of a file was last changed.
func changeTime(fi fs.FileInfo) time.Time {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return time.Time{}
	}
	return time.Unix(st.Ctim.Unix())
}

// syncFilesystem brings all that was written below dir to the disk, in one call rather than one
// for each file. Since Linux 5.8 it tells of data that could not be written (syncfs(2)).
func syncFilesystem(dir *os.File) error {
	return os.NewSyscallError("syncfs", unix.Syncfs(int(dir.Fd())))
}

// inode returns the inode number of a file.
func inode(fi fs.FileInfo) uint64 {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return st.Ino
}

// filesystemID returns what identifies the filesystem of a file.
func filesystemID(f *os.File) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, os.NewSyscallError("fstatfs", err)
	}
	return uint64(uint32(st.Fsid.Val[0]))<<32 | uint64(uint32(st.Fsid.Val[1])), nil
}

// punchHole makes a range of a file a hole.
func punchHole(f *os.File, off, n int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
}

// nameOf returns a name that leads to the open file itself, wherever its own name leads by now.
func nameOf(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// nonblock keeps an open from waiting for the other end of a FIFO that has taken the place of a
// file, and for a process that has a lease on the file.
const nonblock = syscall.O_NONBLOCK
