package syscalls

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

const _ = uint(AtFdcwd - unix.AT_FDCWD) // they are equal, or this does not compile
const _ = uint(unix.AT_FDCWD - AtFdcwd)
const _ = uint(OPath - unix.O_PATH)
const _ = uint(unix.O_PATH - OPath)

func openPath(dirfd int, name string) (int, error) {
	return unix.Openat(dirfd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

func openPathFollow(dirfd int, name string) (int, error) {
	return unix.Openat(dirfd, name, unix.O_PATH|unix.O_CLOEXEC, 0)
}

func openPathBeneath(dirfd int, name string) (int, error) {
	return openBeneath(dirfd, name, unix.O_PATH)
}

func openDirBeneath(dirfd int, name string) (int, error) {
	return openBeneath(dirfd, name, unix.O_RDONLY|unix.O_DIRECTORY)
}

func openBeneath(dirfd int, name string, flags uint64) (int, error) {
	return unix.Openat2(dirfd, name, &unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	})
}

func openDir(dirfd int, name string) (int, error) {
	return unix.Openat(dirfd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

func reopen(fd int) (int, error) {
	return openProc(fd, unix.O_RDONLY)
}

func reopenReadWrite(fd int) (int, error) {
	return openProc(fd, unix.O_RDWR)
}

func openProc(fd, flags int) (int, error) {
	again, err := openNonblock(unix.AT_FDCWD, procPath(fd), flags)
	if errors.Is(err, unix.ENOENT) {
		// The file is there, if the descriptor is good. Nobody shall take it for one that is
		// missing.
		if _, bad := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); bad != nil {
			return -1, bad
		}
		if _, there := fdPath(fd); there == nil {
			return -1, unix.ESTALE
		}
		err = fmt.Errorf("/proc is not mounted: %w", errors.ErrUnsupported)
	}
	return again, err
}

func openRead(dirfd int, name string) (int, error) {
	return openNonblock(dirfd, name, unix.O_RDONLY|unix.O_NOFOLLOW)
}

func openReadWrite(dirfd int, name string) (int, error) {
	return openNonblock(dirfd, name, unix.O_RDWR|unix.O_NOFOLLOW)
}

// openNonblock opens a name without a wait, and clears the flag that this takes: the descriptor is
// as any other, also for package os and for a FUSE server that gets the flag with each read.
func openNonblock(dirfd int, name string, flags int) (int, error) {
	const always = unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := unix.Openat(dirfd, name, flags|always, 0)
	if err != nil {
		return -1, err
	}
	// F_SETFL sets O_APPEND, O_ASYNC, O_DIRECT, O_NOATIME and O_NONBLOCK: none is wanted. It fails
	// in a sandbox that refuses fcntl(2), and there the flag stays: a regular file ignores it.
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFL, 0)
	return fd, nil
}

func reopenDir(dirfd int) (int, error) {
	return unix.Openat(dirfd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

func openTmpfile(dirfd int, name string, perm uint32, excl bool) (int, error) {
	flags := unix.O_TMPFILE | unix.O_RDWR | unix.O_CLOEXEC
	if excl {
		flags |= unix.O_EXCL
	}
	return unix.Openat(dirfd, name, flags, perm)
}

func createExcl(dirfd int, name string, perm uint32) (int, error) {
	return unix.Openat(dirfd, name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_CLOEXEC, perm)
}

func memfd(name string) (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate(name, flags)
	}
	return fd, err
}

// seal does not use F_SEAL_WRITE: before Linux 6.7 a file with that seal cannot be mapped shared
// at all, not even for reading. F_SEAL_FUTURE_WRITE (Linux 5.1) forbids the same, to everybody
// who has no writable mapping yet.
func seal(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_FUTURE_WRITE|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	return err
}

func linkat(fd, dirfd int, newname string) error {
	err := unix.Linkat(fd, "", dirfd, newname, unix.AT_EMPTY_PATH)
	switch err {
	case unix.ENOENT, // no capability (before Linux 6.10), or another user than the opener's
		unix.EINVAL, // before Linux 2.6.39
		unix.EPERM:  // a seccomp filter
		err2 := unix.Linkat(unix.AT_FDCWD, procPath(fd), dirfd, newname, unix.AT_SYMLINK_FOLLOW)
		if err2 != unix.ENOENT { // which would only say that there is no /proc, or the same again
			return err2
		}
	}
	return err
}

func readlinkat(fd int) (string, error) { return readlinkOf(fd, "") }

func fdPath(fd int) (string, error) { return readlinkOf(unix.AT_FDCWD, procPath(fd)) }

func readlinkOf(dirfd int, name string) (string, error) {
	for size := 256; ; size *= 2 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(dirfd, name, buf)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
}

func renameat(dirfd int, oldname, newname string) error {
	return unix.Renameat(dirfd, oldname, dirfd, newname)
}

func renameNoReplace(dirfd int, oldname, newname string) error {
	return unix.Renameat2(dirfd, oldname, dirfd, newname, unix.RENAME_NOREPLACE)
}

func unlinkat(dirfd int, name string) error { return unix.Unlinkat(dirfd, name, 0) }

func accessRead(fd, dirfd int, name string) error { return access(fd, dirfd, name, unix.R_OK) }

func accessWrite(fd, dirfd int, name string) error { return access(fd, dirfd, name, unix.W_OK) }

func access(fd, dirfd int, name string, mode uint32) error {
	err := unix.Faccessat2(fd, "", mode, unix.AT_EACCESS|unix.AT_EMPTY_PATH)
	switch err {
	case unix.ENOSYS, // before Linux 5.8
		unix.EPERM: // a seccomp filter that does not know the call; or an immutable file, which the next call says again
		// This one asks for the real user, not the effective one: they differ in a set-user-ID
		// program alone.
		return unix.Faccessat(dirfd, name, mode, 0)
	}
	return err
}

func closefd(fd int) error { return unix.Close(fd) }

func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
