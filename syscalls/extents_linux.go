package syscalls

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// fiemap is struct fiemap of linux/fiemap.h, without room for extents: they are only counted.
type fiemap struct {
	start, length uint64
	flags         uint32
	mapped        uint32 // out: how many extents there are
	count         uint32
	reserved      uint32
}

// fsIocFiemap is FS_IOC_FIEMAP of linux/fs.h, _IOWR('f', 11, struct fiemap).
const fsIocFiemap = 0xc020660b

func countExtents(fd int, off, n int64) (int, error) {
	m := fiemap{start: uint64(off), length: uint64(n)}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fsIocFiemap, uintptr(unsafe.Pointer(&m)))
	if errno != 0 {
		return 0, errno
	}
	return int(m.mapped), nil
}
