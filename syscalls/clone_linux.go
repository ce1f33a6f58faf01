package syscalls

import "golang.org/x/sys/unix"

func ficlone(dst, src int) error { return unix.IoctlFileClone(dst, src) }

func ficloneRange(dst int, dstOff int64, src int, srcOff, n int64) error {
	return unix.IoctlFileCloneRange(dst, &unix.FileCloneRange{
		Src_fd: int64(src), Src_offset: uint64(srcOff), Src_length: uint64(n), Dest_offset: uint64(dstOff),
	})
}

func copyFileRange(dst int, dstOff int64, src int, srcOff int64, n int) (int, error) {
	return unix.CopyFileRange(src, &srcOff, dst, &dstOff, n, 0)
}

func dedupeRange(dst, src int, off int64, n int) (int, error) {
	r := unix.FileDedupeRange{
		Src_offset: uint64(off),
		Src_length: uint64(n),
		Info:       []unix.FileDedupeRangeInfo{{Dest_fd: int64(dst), Dest_offset: uint64(off)}},
	}
	if err := unix.IoctlFileDedupeRange(src, &r); err != nil {
		return 0, err
	}
	// The status is 0, FILE_DEDUPE_RANGE_DIFFERS, or an errno below zero.
	if s := r.Info[0].Status; s < 0 {
		return 0, unix.Errno(-s)
	}
	return int(r.Info[0].Bytes_deduped), nil
}

func seekData(fd int, off int64) (int64, error) { return unix.Seek(fd, off, unix.SEEK_DATA) }

func seekHole(fd int, off int64) (int64, error) { return unix.Seek(fd, off, unix.SEEK_HOLE) }

func ftruncate(fd int, size int64) error { return unix.Ftruncate(fd, size) }

func pread(fd int, p []byte, off int64) (int, error) { return unix.Pread(fd, p, off) }

func pwrite(fd int, p []byte, off int64) (int, error) { return unix.Pwrite(fd, p, off) }
