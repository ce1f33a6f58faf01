package syscalls_test

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An extent is struct fiemap_extent of linux/fiemap.h.
type extent struct {
	logical, physical, length uint64
	_                         [2]uint64
	flags                     uint32
	_                         [3]uint32
}

// Flags of an extent.
const (
	delalloc  = 0x4    // not yet given a place on the disk
	unwritten = 0x800  // reads as zeros
	shared    = 0x2000 // with another file
)

// extents asks the filesystem where the data of a file lies, without making it write first.
// tmpfs cannot tell.
func extents(t *testing.T, fd int) []extent {
	t.Helper()
	const fsIocFiemap = 0xC020660B // of linux/fs.h
	var m struct {
		start, length        uint64
		flags, mapped, count uint32
		_                    uint32
		extents              [512]extent
	}
	m.length, m.count = ^uint64(0), uint32(len(m.extents))
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fsIocFiemap, uintptr(unsafe.Pointer(&m)))
	if errno != 0 {
		t.Fatalf("FS_IOC_FIEMAP: %v", errno)
	}
	return m.extents[:m.mapped]
}

// bytesWith adds up the lengths of the extents that have the flag.
func bytesWith(extents []extent, flag uint32) (n int) {
	for _, e := range extents {
		if e.flags&flag != 0 {
			n += int(e.length)
		}
	}
	return n
}
