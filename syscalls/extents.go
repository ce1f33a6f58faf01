package syscalls

import "syscall"

// CountExtents counts the extents in n bytes at off of a file, those that are not on the disk yet
// included: FS_IOC_FIEMAP, see Documentation/filesystems/fiemap.rst of the kernel. It costs a
// look at each of them.
func CountExtents(fd int, off, n int64) (int, error) {
	var count int
	err := do("fs_ioc_fiemap", func() (err error) {
		count, err = countExtents(fd, off, n)
		return orUnsupported(err, syscall.ENOTTY)
	})
	return count, err
}

// An Extent is a part of a file that the filesystem stores in one piece: struct fiemap_extent. It
// has the layout of that structure.
type Extent struct {
	Logical  uint64 // offset in the file
	Physical uint64 // address in the filesystem
	Length   uint64 // in bytes, a multiple of the block size of the filesystem
	_        [2]uint64
	Flags    ExtentFlags
	_        [3]uint32
}

// ExtentFlags are flags of an [Extent], FIEMAP_EXTENT_* of linux/fiemap.h.
type ExtentFlags uint32

const (
	ExtentLast       ExtentFlags = 0x1    // it is the last one of the file
	ExtentUnknown    ExtentFlags = 0x2    // its address is not known
	ExtentDelalloc   ExtentFlags = 0x4    // it has no address yet
	ExtentEncoded    ExtentFlags = 0x8    // it is compressed or encrypted
	ExtentEncrypted  ExtentFlags = 0x80   // it is encrypted
	ExtentNotAligned ExtentFlags = 0x100  // its address or length is no multiple of the block size
	ExtentInline     ExtentFlags = 0x200  // its data is stored with the metadata
	ExtentTail       ExtentFlags = 0x400  // its block has data of other files
	ExtentUnwritten  ExtentFlags = 0x800  // it is allocated, and reads as zeros
	ExtentMerged     ExtentFlags = 0x1000 // the filesystem has no extents, and merged its blocks
	ExtentShared     ExtentFlags = 0x2000 // another file may have it, too
)

// Fiemap fills extents with the extents of a file that overlap n bytes at off, in the order of their
// offsets, and returns their number: FS_IOC_FIEMAP. If it fills all of extents, more can follow. The
// first and the last one can extend beyond the range. If sync is set, the kernel writes dirty pages
// first, which have no address before: FIEMAP_FLAG_SYNC. An error of that write is the error.
//
// The answer can be out of date when Fiemap returns, if another process writes to the file. A call
// costs a copy of extents, and at most 4 096 of them cost one allocation of 224 KiB.
func Fiemap(fd int, off, n int64, sync bool, extents []Extent) (int, error) {
	var count int
	err := do("fs_ioc_fiemap", func() (err error) {
		count, err = fiemap(fd, off, n, sync, extents)
		return orUnsupported(err, syscall.ENOTTY)
	})
	return count, err
}
