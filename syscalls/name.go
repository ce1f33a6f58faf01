package syscalls

import "syscall"

// AtFdcwd stands for the working directory where a descriptor of a directory is asked for.
const AtFdcwd = -100

// OPath is O_PATH, which package syscall lacks, for [os.Root.OpenFile]; [OpenPath] needs no root.
const OPath = 0x200000

// MaxLinks is how many symbolic links the kernel follows in one name (path_resolution(7)).
const MaxLinks = 40

// OpenPath opens a name for being looked at only (O_PATH|O_NOFOLLOW): openat(2). It does not
// need permission to read the file, breaks no lease, and does not block on a FIFO or wake a
// device. A symbolic link is opened itself.
func OpenPath(dirfd int, name string) (int, error) {
	return open("openat", func() (int, error) { return openPath(dirfd, name) })
}

// OpenPathFollow is OpenPath for what a symbolic link leads to.
func OpenPathFollow(dirfd int, name string) (int, error) {
	return open("openat", func() (int, error) { return openPathFollow(dirfd, name) })
}

// OpenPathBeneath is OpenPathFollow for a name that must not lead out of the directory dirfd:
// openat2(2), RESOLVE_BENEATH and RESOLVE_NO_MAGICLINKS, Linux 5.6. Symbolic links and ".." are
// followed inside the directory, also while other processes rename directories. A name that ends
// with a slash leads to a directory only.
//
// The error is EXDEV for an absolute name and for a name that leads out of the directory. It is
// ELOOP for a link of /proc that the kernel follows by other means than its text. It is EAGAIN for
// a name with ".." if any process renamed or mounted a directory meanwhile; the next call may
// succeed. It is [errors.ErrUnsupported] before Linux 5.6 and where a seccomp filter refuses the
// call.
func OpenPathBeneath(dirfd int, name string) (int, error) {
	return open("openat2", func() (int, error) {
		fd, err := openPathBeneath(dirfd, name)
		return fd, orUnsupported(err,
			syscall.EPERM, // a seccomp filter; the kernel has no EPERM for O_PATH
		)
	})
}

// OpenDirBeneath opens the directory that name leads to from the directory dirfd, for reading:
// openat2(2), as [OpenPathBeneath] does and with its errors.
func OpenDirBeneath(dirfd int, name string) (int, error) {
	return open("openat2", func() (int, error) {
		fd, err := openDirBeneath(dirfd, name)
		return fd, orUnsupported(err,
			syscall.EPERM, // a seccomp filter
		)
	})
}

// OpenDir opens a directory as a starting point for other calls (O_PATH|O_DIRECTORY):
// openat(2). It needs no permission to read the directory. Symbolic links are followed.
func OpenDir(dirfd int, name string) (int, error) {
	return open("openat", func() (int, error) { return openDir(dirfd, name) })
}

// Reopen opens the file behind a descriptor, one of [OpenPath] for example, a second time and
// for reading: openat(2) of /proc/self/fd. Permissions are checked anew. The error is
// [errors.ErrUnsupported] where /proc is not mounted, and ESTALE for a file that has no name any
// more, on a server that goes by names (NFS, and FUSE, which says ENOENT).
//
// Reopen does not wait for a lease of another process, nor for the other end of a FIFO. It opens
// with O_NONBLOCK and clears this flag on the new descriptor by fcntl(2), F_SETFL, unless a sandbox
// refuses that. If another process has a lease that excludes readers, the kernel asks that process
// to give the lease up, and the error is EAGAIN: [AwaitLease] calls again.
func Reopen(fd int) (int, error) {
	return open("openat", func() (int, error) { return reopen(fd) })
}

// ReopenReadWrite is [Reopen] for reading and writing. The error is EAGAIN if another process has
// any lease on the file, and ETXTBSY for a running program.
func ReopenReadWrite(fd int) (int, error) {
	return open("openat", func() (int, error) { return reopenReadWrite(fd) })
}

// OpenRead opens a name for reading (O_RDONLY|O_NOFOLLOW|O_NOCTTY): openat(2). It is for where
// [Reopen] finds no /proc. The error is ELOOP for a symbolic link. OpenRead waits no more than
// Reopen does: the error is EAGAIN if another process has a lease that excludes readers.
func OpenRead(dirfd int, name string) (int, error) {
	return open("openat", func() (int, error) { return openRead(dirfd, name) })
}

// OpenReadWrite is [OpenRead] for reading and writing (O_RDWR): openat(2). It is for where
// [ReopenReadWrite] finds no /proc. The error is EAGAIN if another process has any lease on the
// file.
func OpenReadWrite(dirfd int, name string) (int, error) {
	return open("openat", func() (int, error) { return openReadWrite(dirfd, name) })
}

// FDPath returns the name by which the file behind a descriptor was last known, as an absolute
// path: readlink(2) of /proc/self/fd. It may be gone, have " (deleted)" behind it, or belong to
// another file by now.
func FDPath(fd int) (string, error) {
	return readlink("readlink", func() (string, error) { return fdPath(fd) })
}

// ReopenDir opens the directory behind a descriptor of [OpenDir] a second time, for reading,
// which [Fsync] and [TryFlock] need: openat(2).
func ReopenDir(dirfd int) (int, error) {
	return open("openat", func() (int, error) { return reopenDir(dirfd) })
}

// Tmpfile makes a file without a name in the filesystem of the directory dirfd and opens it for
// reading and writing: openat(2), O_TMPFILE. [Linkat] can give it a name; if nothing does, it
// is gone with its last descriptor and mapping. perm is subject to the umask or to the default
// ACL of the directory.
func Tmpfile(dirfd int, perm uint32) (fd int, err error) {
	return tmpfile(dirfd, perm, false)
}

// TmpfileExcl is Tmpfile for a file that can never get a name (O_TMPFILE|O_EXCL).
func TmpfileExcl(dirfd int, perm uint32) (fd int, err error) {
	return tmpfile(dirfd, perm, true)
}

// TmpfileExclAt is TmpfileExcl in the directory that name leads to from the directory dirfd.
func TmpfileExclAt(dirfd int, name string, perm uint32) (fd int, err error) {
	return tmpfileAt(dirfd, name, perm, true)
}

func tmpfile(dirfd int, perm uint32, excl bool) (int, error) {
	return tmpfileAt(dirfd, ".", perm, excl)
}

func tmpfileAt(dirfd int, name string, perm uint32, excl bool) (int, error) {
	return open("openat O_TMPFILE", func() (int, error) {
		fd, err := openTmpfile(dirfd, name, perm, excl)
		return fd, orUnsupported(err,
			syscall.EISDIR, // a kernel or filesystem that does not know the flag and sees a directory opened for writing
		)
	})
}

// CreateExcl makes a file of a name that is free, and opens it for reading and writing:
// openat(2), O_CREAT|O_EXCL. The error is EEXIST if the name is taken, be it by a symbolic link
// that leads nowhere. perm is as with [Tmpfile].
func CreateExcl(dirfd int, name string, perm uint32) (int, error) {
	return open("openat O_EXCL", func() (int, error) { return createExcl(dirfd, name, perm) })
}

// Memfd makes an empty file in memory, without a name in any filesystem, and opens it for
// reading and writing: memfd_create(2). name is what /proc calls it. It can be sealed but not
// executed, as far as the kernel knows that (MFD_NOEXEC_SEAL, Linux 6.3). What is in it counts
// as memory of this process's control group and can be swapped out.
func Memfd(name string) (int, error) {
	return open("memfd_create", func() (int, error) { return memfd(name) })
}

// Seal keeps a file made by [Memfd] as it is for good: nobody can write to it any more, map it
// writable or change its size, through whatever descriptor: fcntl(2), F_ADD_SEALS. Mappings that
// are writable already stay so.
func Seal(fd int) error {
	return do("fcntl F_ADD_SEALS", func() error {
		return orUnsupported(seal(fd), syscall.EINVAL) // not a file in memory, or before Linux 5.1
	})
}

// Linkat gives a file without a name, made by [Tmpfile], the name newname in the directory
// dirfd: linkat(2). It never replaces: the error is EEXIST if the name is taken. A file made by
// [TmpfileExcl], or one that had a name and lost it, cannot be linked: ENOENT.
//
// Two ways lead there, AT_EMPTY_PATH and /proc/self/fd, and each fails where the other may
// work: the first wants CAP_DAC_READ_SEARCH before Linux 6.10, and later still fails in a
// process that changed its user since the file was opened; the second wants /proc. Linkat tries
// them in this order.
func Linkat(fd, dirfd int, newname string) error {
	return do("linkat", func() error { return linkat(fd, dirfd, newname) })
}

// Readlinkat returns where the symbolic link opened by [OpenPath] points to: readlinkat(2).
func Readlinkat(fd int) (string, error) {
	return readlink("readlinkat", func() (string, error) { return readlinkat(fd) })
}

func readlink(name string, call func() (string, error)) (string, error) {
	var target string
	err := do(name, func() (err error) {
		target, err = call()
		return err
	})
	return target, err
}

// Renameat renames oldname to newname within the directory dirfd, replacing a file of that name
// in one step: renameat(2).
func Renameat(dirfd int, oldname, newname string) error {
	return do("renameat", func() error { return renameat(dirfd, oldname, newname) })
}

// RenameNoReplace is Renameat for a newname that is free: renameat2(2), RENAME_NOREPLACE. The
// error is EEXIST if it is taken. Filesystems that cannot, NFS for one, say EINVAL.
func RenameNoReplace(dirfd int, oldname, newname string) error {
	return do("renameat2", func() error {
		return orUnsupported(renameNoReplace(dirfd, oldname, newname), syscall.EINVAL)
	})
}

// Unlinkat removes a name: unlinkat(2).
func Unlinkat(dirfd int, name string) error {
	return do("unlinkat", func() error { return unlinkat(dirfd, name) })
}

// AccessWrite reports, by its error, whether this process may write to a file opened by
// [OpenPath], without opening it for writing (which would break leases and fails on running
// programs): faccessat2(2), Linux 5.8. On older kernels the name in the directory is asked
// about instead.
func AccessWrite(fd, dirfd int, name string) error {
	return do("faccessat2", func() error { return accessWrite(fd, dirfd, name) })
}

// AccessRead is [AccessWrite] for reading: it asks whether this process may open the file, or the
// directory, for reading. Security modules such as Landlock, which refuse the open itself, are not
// asked.
func AccessRead(fd, dirfd int, name string) error {
	return do("faccessat2", func() error { return accessRead(fd, dirfd, name) })
}

// Close closes a descriptor: close(2). An interrupted close has closed it on Linux, so EINTR is
// no error and the call is never made again.
func Close(fd int) error {
	err := closefd(fd)
	if err == syscall.EINTR { //nolint:errorlint // a raw errno
		return nil
	}
	return do("close", func() error { return err })
}

func open(name string, call func() (int, error)) (int, error) {
	fd := -1
	err := do(name, func() (err error) {
		fd, err = call()
		return err
	})
	if err != nil {
		return -1, err
	}
	return fd, nil
}
