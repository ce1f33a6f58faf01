package syscalls

import "syscall"

// enotsupp is the kernel's internal ENOTSUPP, which some filesystems (NFS among them) let
// escape to user space. It has no name in package syscall.
const enotsupp syscall.Errno = 524

// cannotClone are the errnos of FICLONE and FICLONERANGE that do not come from the disk. EOPNOTSUPP,
// of a filesystem without reflinks, needs no marking.
//
// Left out: EBADF (wrong mode of a descriptor), EIO, ENOSPC and EDQUOT (a clone that failed, perhaps
// half-way), ETXTBSY (swap file), EAGAIN (ZFS with dirty blocks: it may work a moment later).
var cannotClone = []syscall.Errno{
	syscall.ENOTTY, // the filesystem does not know the ioctl
	enotsupp,
	// The filesystem has reflinks, but not between these two files.
	syscall.EXDEV,  // two filesystems, or two layers of an overlayfs; before Linux 5.18 also two mounts of one
	syscall.EINVAL, // btrfs: one of them is NOCOW; XFS: one of them is realtime or DAX; ZFS: unequal record sizes
	// A seccomp filter refuses the ioctl. An immutable dst says the same; nothing was changed there
	// either.
	syscall.EPERM,
}

// Ficlone makes the whole of src the contents of dst by sharing its extents (a reflink):
// ioctl_ficlone(2). dst must be open for writing, src for reading. It costs the writeback of
// what is dirty in src, and then time that grows with the number of extents, not with the size.
//
// Three things to know. The size of dst never shrinks: onto a longer file the call fails with
// EINVAL or leaves the old tail. It is not durable before [Fsync]. Kernels before 6.9 may
// report a clone cut short by an error as success: compare the sizes.
func Ficlone(dst, src int) error {
	return do("ficlone", func() error {
		return orUnsupported(ficlone(dst, src), cannotClone...)
	})
}

// FicloneRange makes n bytes at srcOff of src the contents of dst at dstOff by sharing their extents:
// ioctl_ficlonerange(2). If n is 0, the range extends to the end of src. The offsets are multiples of
// the block size of the filesystem, and n is one unless the range ends at the end of src. dst becomes
// longer if the range ends behind its end. Errors and costs are those of [Ficlone].
func FicloneRange(dst int, dstOff int64, src int, srcOff, n int64) error {
	return do("ficlonerange", func() error {
		return orUnsupported(ficloneRange(dst, dstOff, src, srcOff, n), cannotClone...)
	})
}

// CopyFileRange copies up to n bytes from srcOff of src to dstOff of dst inside the kernel and
// returns how many it copied: copy_file_range(2). It may copy fewer than asked, never more than
// about 2 GiB. The offsets of the descriptors do not move.
//
// 0 and a nil error mean the end of src, or, on kernels before 5.19 and for files that claim to
// be empty, that the kernel cannot copy it.
func CopyFileRange(dst int, dstOff int64, src int, srcOff int64, n int) (int, error) {
	return transfer("copy_file_range", func() (int, error) {
		n, err := copyFileRange(dst, dstOff, src, srcOff, n)
		return n, orUnsupported(err,
			syscall.EXDEV,  // two filesystems (before Linux 5.3, and from 5.19 when of two types)
			syscall.EINVAL, // not regular files, or a filesystem without the operation before Linux 5.3
			syscall.EPERM,  // a seccomp filter that answers EPERM for what it does not know
			// Left out: EIO, which CIFS also returns for "cannot" but which may be the disk's;
			// the caller who can afford to try another way should.
		)
	})
}

// DedupeRange lets n bytes at off of dst share the extents of the same range of src, if and
// only if the contents are equal, which the kernel compares under the locks of both files:
// ioctl_fideduperange(2). It returns how many bytes were shared, fewer than n where the
// contents differ or the filesystem has a limit per call. Neither contents nor sizes nor times
// change.
func DedupeRange(dst, src int, off int64, n int) (int, error) {
	return transfer("fideduperange", func() (int, error) {
		n, err := dedupeRange(dst, src, off, n)
		return n, orUnsupported(err, syscall.ENOTTY, enotsupp, syscall.EXDEV, syscall.EINVAL) // as for Ficlone
	})
}

// SeekData returns the offset of the first byte at or after off that is not in a hole:
// lseek(2), SEEK_DATA. At the end of the data the error is ENXIO. It moves the offset of the
// descriptor. A filesystem that knows no holes says that everything is data.
func SeekData(fd int, off int64) (int64, error) {
	return seek("lseek SEEK_DATA", func() (int64, error) { return seekData(fd, off) })
}

// SeekHole returns the offset of the first hole at or after off; there is always one at the end
// of the file: lseek(2), SEEK_HOLE. It moves the offset of the descriptor.
func SeekHole(fd int, off int64) (int64, error) {
	return seek("lseek SEEK_HOLE", func() (int64, error) { return seekHole(fd, off) })
}

func seek(name string, call func() (int64, error)) (int64, error) {
	var pos int64
	err := do(name, func() (err error) {
		pos, err = call()
		return orUnsupported(err, syscall.EINVAL) // before Linux 3.1, or not a file with an offset
	})
	return pos, err
}

// Pread reads into p from off and returns how many bytes it read, 0 at the end of the file:
// pread(2). It may read fewer than len(p).
func Pread(fd int, p []byte, off int64) (int, error) {
	return transfer("pread", func() (int, error) { return pread(fd, p, off) })
}

// Pwrite writes p at off and returns how many bytes it wrote, perhaps fewer than len(p):
// pwrite(2).
func Pwrite(fd int, p []byte, off int64) (int, error) {
	return transfer("pwrite", func() (int, error) { return pwrite(fd, p, off) })
}

func transfer(name string, call func() (int, error)) (int, error) {
	var n int
	err := do(name, func() (err error) {
		n, err = call()
		return err
	})
	return max(n, 0), err
}

// Ftruncate sets the size of a file; what it grows by is a hole: ftruncate(2).
func Ftruncate(fd int, size int64) error {
	return do("ftruncate", func() error { return ftruncate(fd, size) })
}
