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
