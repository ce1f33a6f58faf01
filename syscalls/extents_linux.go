package syscalls

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fiemapHeader is struct fiemap of linux/fiemap.h, without its extents.
type fiemapHeader struct {
	start, length uint64
	flags         uint32
	mapped        uint32 // out: the number of extents
	count         uint32 // the room for extents behind the header; 0 only counts them
	reserved      uint32
}

const (
	// fsIocFiemap is FS_IOC_FIEMAP of linux/fs.h, _IOWR('f', 11, struct fiemap).
	fsIocFiemap = 0xc020660b

	fiemapFlagSync = 1 // FIEMAP_FLAG_SYNC
)

func countExtents(fd int, off, n int64) (int, error) {
	m := fiemapHeader{start: uint64(off), length: uint64(n)}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fsIocFiemap, uintptr(unsafe.Pointer(&m)))
	if errno != 0 {
		return 0, errno
	}
	return int(m.mapped), nil
}

// fiemap needs the header and the extents in one piece of memory.
func fiemap(fd int, off, n int64, sync bool, extents []Extent) (int, error) {
	if len(extents) == 0 {
		return 0, unix.EINVAL // the kernel would only count
	}
	const header, one = unsafe.Sizeof(fiemapHeader{}), unsafe.Sizeof(Extent{})
	// Words, because the structures need the alignment of a uint64. Their sizes are multiples of 8.
	buf := make([]uint64, (header+one*uintptr(len(extents)))/8)
	m := (*fiemapHeader)(unsafe.Pointer(&buf[0]))
	m.start, m.length, m.count = uint64(off), uint64(n), uint32(len(extents))
	if sync {
		m.flags = fiemapFlagSync
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fsIocFiemap, uintptr(unsafe.Pointer(m)))
	if errno != 0 {
		return 0, errno
	}
	count := min(int(m.mapped), len(extents))
	first := (*Extent)(unsafe.Pointer(&buf[header/8]))
	copy(extents, unsafe.Slice(first, len(extents))[:count])
	runtime.KeepAlive(buf)
	return count, nil
}
