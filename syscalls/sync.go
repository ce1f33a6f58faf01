package syscalls

import "syscall"

// Fsync writes a file, or the names in a directory, to the disk and waits for it: fsync(2). An
// error is reported once for each descriptor that was open when the writing failed; afterwards
// the kernel takes the pages for clean, so calling again proves nothing.
func Fsync(fd int) error {
	return do("fsync", func() error { return fsync(fd) })
}

// WritebackAndWait starts the writeback of a file's dirty pages and waits until they have been
// handed to the device: sync_file_range(2). Its error tells, once for each descriptor, of any
// writeback that failed since the last time. It promises nothing about a crash: that takes
// [Fsync].
func WritebackAndWait(fd int) error {
	return do("sync_file_range", func() error { return writebackAndWait(fd) })
}

// WritebackError waits for the writeback that runs already, if any, and returns its error or
// that of an earlier one: sync_file_range(2). It starts none.
func WritebackError(fd int) error {
	return do("sync_file_range", func() error { return writebackError(fd) })
}

// WritebackFailed returns the error of a writeback that has failed, if this descriptor did not
// report it before: sync_file_range(2). It starts no writeback, and waits for none but of the page at
// 8 TiB.
func WritebackFailed(fd int) error {
	return do("sync_file_range", func() error { return writebackFailed(fd) })
}

// Lease kinds, for SetLease and GetLease.
const (
	NoLease   = iota // none, or being broken
	ReadLease        // nobody else has the file open for writing, or may without asking
)

// SetLease takes a lease on a regular file, or gives it up: F_SETLEASE, fcntl_locking(2). A
// process that then opens the file for writing waits until the lease is given up, at most
// /proc/sys/fs/lease-break-time; with O_NONBLOCK it gets EAGAIN. The error is EAGAIN if the file
// is open for writing or mapped writable, EACCES unless the caller owns the file or has
// CAP_LEASE.
//
// Giving up a lease that is there no more, because its time had run out, is EAGAIN as well:
// without an error, nobody has opened the file for writing since it was taken.
//
// The kernel would tell the holder by a signal. Here nobody is told: the descriptor has no owner
// afterwards (F_SETOWN). In the instant before that, the signal is SIGURG (F_SETSIG), which the
// runtime sends to itself all the time and every other program ignores.
func SetLease(fd, kind int) error {
	return do("fcntl F_SETLEASE", func() error {
		return orUnsupported(setLease(fd, kind), syscall.EINVAL) // not a regular file, or no leases on this filesystem, or fs.leases-enable is 0
	})
}

// GetLease returns the kind of the lease held, NoLease as soon as somebody is breaking it:
// F_GETLEASE, fcntl_locking(2).
func GetLease(fd int) (int, error) {
	kind := NoLease
	err := do("fcntl F_GETLEASE", func() (err error) {
		kind, err = getLease(fd)
		return err
	})
	return kind, err
}

// FSType returns the magic number of the filesystem that an open file lies on: fstatfs(2).
func FSType(fd int) (uint32, error) {
	var magic uint32
	err := do("fstatfs", func() (err error) {
		magic, err = fsType(fd)
		return err
	})
	return magic, err
}

// NoSymfollow reports whether the kernel follows no symbolic link on the filesystem that an open
// file lies on (mount(8), nosymfollow, Linux 5.10): fstatfs(2). The descriptor may be one of
// [OpenPath].
func NoSymfollow(fd int) (bool, error) {
	var set bool
	err := do("fstatfs", func() (err error) {
		set, err = noSymfollow(fd)
		return err
	})
	return set, err
}

// What FSType returns, from linux/magic.h.
const (
	Btrfs   = 0x9123683e
	Ext4    = 0xef53 // and ext2 and ext3
	Overlay = 0x794c7630
	Tmpfs   = 0x01021994
	XFS     = 0x58465342

	// Of these, no kernel writes to the files.
	Cramfs   = 0x28cd3d45
	Erofs    = 0xe0f5e1e2
	ISO9660  = 0x9660
	Squashfs = 0x73717368
)

// TryFlock takes an exclusive lock on an open file or directory without waiting: flock(2). The
// error is EAGAIN while another open file has it. Closing the descriptor lets it go.
func TryFlock(fd int) error {
	return do("flock", func() error { return tryFlock(fd) })
}

// Funlock lets go of a lock that [TryFlock] took: flock(2), LOCK_UN.
func Funlock(fd int) error {
	return do("flock LOCK_UN", func() error { return funlock(fd) })
}
