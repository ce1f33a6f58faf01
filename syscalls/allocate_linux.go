package syscalls

import "golang.org/x/sys/unix"

func allocate(fd int, off, n int64, unshare bool) error {
	mode := uint32(unix.FALLOC_FL_KEEP_SIZE)
	if unshare {
		mode |= unix.FALLOC_FL_UNSHARE_RANGE
	}
	return unix.Fallocate(fd, mode, off, n)
}
