package syscalls

import "golang.org/x/sys/unix"

func fsync(fd int) error { return unix.Fsync(fd) }

func writebackAndWait(fd int) error {
	return unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
}

func writebackError(fd int) error {
	return unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE)
}

// writebackFailed asks to wait for the page at 8 TiB, which hardly any file has. A kernel of 32 bits
// answers nothing for offsets of 16 TiB and more.
func writebackFailed(fd int) error {
	return unix.SyncFileRange(fd, 8<<40, 1, unix.SYNC_FILE_RANGE_WAIT_BEFORE)
}

func setLease(fd, kind int) error {
	if kind == NoLease {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK)
		return err
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETSIG, int(unix.SIGURG)); err != nil {
		return err
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK); err != nil {
		return err
	}
	// F_SETLEASE made this process the owner, where there was none (fs/locks.c, lease_setup).
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETOWN, 0)
	if err != nil {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK)
	}
	return err
}

func getLease(fd int) (int, error) {
	kind, err := unix.FcntlInt(uintptr(fd), unix.F_GETLEASE, 0)
	if err != nil || kind != unix.F_RDLCK {
		return NoLease, err
	}
	return ReadLease, nil
}

func fsType(fd int) (uint32, error) {
	var st unix.Statfs_t
	err := unix.Fstatfs(fd, &st)
	return uint32(st.Type), err // wider, or signed, on some architectures
}

func noSymfollow(fd int) (bool, error) {
	const stNoSymfollow = 0x2000 // of linux/statfs.h
	var st unix.Statfs_t
	err := unix.Fstatfs(fd, &st)
	return st.Flags&stNoSymfollow != 0, err
}

func tryFlock(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) }

func funlock(fd int) error { return unix.Flock(fd, unix.LOCK_UN) }
