package privatefile

import (
	"errors"
	"syscall"
)

// sortCopyError makes of an error of FICLONE or copy_file_range(2) one of three:
//
//   - an error that is errors.ErrUnsupported: the data are to be copied by reading and writing;
//   - a WriteError: the place of the copy cannot hold it;
//   - err itself: the copy fails.
//
// Reading and writing need less than these calls, and meet again what keeps a file from being read.
// So every errno of which nothing else is known means the first. These are known to:
//
//	ENOSYS      a kernel before 4.5, or a seccomp filter
//	ENOTTY, EOPNOTSUPP, ENOTSUPP (524)
//	            the filesystem does not know the call
//	EXDEV       two filesystems; copy_file_range before Linux 5.3; two mounts of one, FICLONE
//	            before Linux 5.18; two encryption policies (fscrypt)
//	EINVAL      btrfs: one of the files has no checksums; XFS: one of them is realtime or DAX; ZFS:
//	            unequal record sizes; hugetlbfs; FICLONE if RLIMIT_FSIZE is less than the size, which
//	            writing meets again
//	EPERM       a seccomp filter; the file is immutable or append-only
//	EACCES      a security module
//	ETXTBSY     an active swap file
//	EAGAIN      ZFS: dirty blocks that did not reach the disk in time
//	EOVERFLOW   some filesystems, of ranges that they do not support
//	ENOENT      CIFS, between two shares
//	ENOKEY      the key of an encrypted file is gone (fscrypt); what is in memory can be read
//	EISDIR, ENODEV, EBUSY, ESTALE
//	            servers of FUSE
func sortCopyError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), // writing would meet these as well
		errors.Is(err, syscall.EDQUOT),
		errors.Is(err, syscall.EFBIG):
		return WriteError(err)
	case errors.Is(err, syscall.EIO), // FICLONE wrote dirty pages back: only it reports their loss
		errors.Is(err, syscall.ENOMEM), // reading and writing need memory, too
		errors.Is(err, syscall.EBADF),  // a mistake here
		errors.Is(err, errors.ErrUnsupported):
		return err
	}
	return unsupported{err}
}

// unsupported is an error that is errors.ErrUnsupported as well.
type unsupported struct{ error }

func (e unsupported) Unwrap() error { return e.error }

func (e unsupported) Is(target error) bool {
	return target == errors.ErrUnsupported //nolint:errorlint // errors.Is unwraps
}
