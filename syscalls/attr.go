package syscalls

import (
	"io/fs"
	"syscall"
	"time"
)

// Stat is what the kernel knows of a file.
type Stat struct {
	Dev, Ino, Nlink uint64
	Mode            fs.FileMode // type and permissions as Go writes them
	Perm            uint32      // permissions as the kernel writes them, set-id and sticky bits included: what Fchmod takes
	UID, GID        uint32
	Size            int64 // bytes
	Blocks          int64 // allocated, of 512 bytes each
	Mtime, Ctime    time.Time

	// Mount is the number of the mount that the file was found on (STATX_MNT_ID_UNIQUE, Linux
	// 6.8). The kernel gives it to no other mount until the machine is started again. 0: it is not
	// known.
	Mount uint64

	Sys any // *syscall.Stat_t
}

// Fstat describes the file behind a descriptor: statx(2), or fstat(2) before Linux 4.11 and where
// a seccomp filter refuses statx(2).
func Fstat(fd int) (Stat, error) {
	var st Stat
	err := do("fstat", func() (err error) {
		st, err = fstat(fd, false)
		return err
	})
	return st, err
}

// FstatSync is Fstat, of what the server says at the moment, where there is one: statx(2),
// AT_STATX_FORCE_SYNC, Linux 4.11. With NFS and FUSE, the kernel may go by what it was told some
// seconds ago otherwise, and does again where it cannot do this. A server of FUSE can have a cache
// of its own, which this does not reach.
func FstatSync(fd int) (Stat, error) {
	var st Stat
	err := do("fstat", func() (err error) {
		st, err = fstat(fd, true)
		return err
	})
	return st, err
}

// Fchown sets owner and group: fchown(2). It may clear the set-id bits.
func Fchown(fd int, uid, gid uint32) error {
	return do("fchown", func() error { return fchown(fd, uid, gid) })
}

// Fchmod sets the permissions: fchmod(2).
func Fchmod(fd int, perm uint32) error {
	return do("fchmod", func() error { return fchmod(fd, perm) })
}

// Flistxattr lists the names of the extended attributes: flistxattr(2). ACLs and security
// labels are among them; those this process may not see are not, except that btrfs tells
// everyone the names of trusted attributes.
//
// A descriptor of [OpenPath] will do: flistxattr(2) refuses it with EBADF, and then Flistxattr uses
// listxattr(2) of /proc/self/fd, which opens nothing and so meets no lease. Where /proc is not
// mounted, the error stays EBADF.
func Flistxattr(fd int) ([]string, error) {
	var names []string
	err := do("flistxattr", func() (err error) {
		names, err = flistxattr(fd)
		return err
	})
	return names, err
}

// Fgetxattr returns the value of an extended attribute: fgetxattr(2). Where there is none of this
// name the errno is ENODATA and the error [fs.ErrNotExist]. A descriptor of [OpenPath] will do, as
// with [Flistxattr]: then the call is getxattr(2). Either call needs permission to read the file
// for an attribute user.*.
func Fgetxattr(fd int, name string) ([]byte, error) {
	var value []byte
	err := do("fgetxattr "+name, func() (err error) {
		value, err = fgetxattr(fd, name)
		return err
	})
	return value, err
}

// Fsetxattr sets an extended attribute, new or old: fsetxattr(2).
func Fsetxattr(fd int, name string, value []byte) error {
	return do("fsetxattr "+name, func() error { return fsetxattr(fd, name, value) })
}

// Fremovexattr removes an extended attribute: fremovexattr(2).
func Fremovexattr(fd int, name string) error {
	return do("fremovexattr "+name, func() error { return fremovexattr(fd, name) })
}

// IsNoCOW reports whether a file is exempt from copy-on-write (chattr +C, btrfs):
// ioctl_iflags(2), FS_IOC_GETFLAGS.
func IsNoCOW(fd int) (bool, error) {
	var on bool
	err := do("fs_ioc_getflags", func() (err error) {
		on, err = isNoCOW(fd)
		return orUnsupported(err, syscall.ENOTTY)
	})
	return on, err
}

// SetNoCOW exempts a file from copy-on-write or ends the exemption, which is possible while it
// is empty: ioctl_iflags(2), FS_IOC_SETFLAGS. On a file that has contents, btrfs changes
// nothing and says that it did: ask [IsNoCOW].
func SetNoCOW(fd int, on bool) error {
	return do("fs_ioc_setflags", func() error {
		return orUnsupported(setNoCOW(fd, on), syscall.ENOTTY)
	})
}

// IsRealtime reports whether the data of a file is stored on the realtime device of an XFS, whose
// addresses are not those of the data device: ioctl_xfs_fsgetxattr(2), FS_XFLAG_REALTIME.
func IsRealtime(fd int) (bool, error) {
	var on bool
	err := do("fs_ioc_fsgetxattr", func() (err error) {
		on, err = isRealtime(fd)
		return orUnsupported(err, syscall.ENOTTY)
	})
	return on, err
}

// IsAppendOnly reports whether a file may only be appended to, or names only be put into a
// directory and not be removed or renamed (chattr +a): statx(2), STATX_ATTR_APPEND, Linux 4.11.
func IsAppendOnly(fd int) (bool, error) {
	var on bool
	err := do("statx", func() (err error) {
		on, err = isAppendOnly(fd)
		return err
	})
	return on, err
}

// Flags are facts about a file that statx(2) reports as stx_attributes and that change what a
// process may do with the file.
type Flags uint64

// The flags of [FileFlags].
const (
	FlagImmutable  Flags = 0x10   // STATX_ATTR_IMMUTABLE: no change, no rename (chattr +i)
	FlagAppendOnly Flags = 0x20   // STATX_ATTR_APPEND: only appending, no rename (chattr +a)
	FlagMountRoot  Flags = 0x2000 // STATX_ATTR_MOUNT_ROOT: the name is a mount point; Linux 5.8
)

// FileFlags returns the flags of a file: statx(2), Linux 4.11. A flag that the filesystem or the
// kernel does not report is not set. Of a mount point, the descriptor must be of the file that is
// mounted there.
func FileFlags(fd int) (Flags, error) {
	var flags Flags
	err := do("statx", func() (err error) {
		flags, err = fileFlags(fd)
		return err
	})
	return flags, err
}

// IsReadable reports whether a descriptor may be read from, that is, was opened neither with
// O_WRONLY nor with O_PATH: fcntl(2), F_GETFL.
func IsReadable(fd int) (bool, error) {
	var ok bool
	err := do("fcntl F_GETFL", func() (err error) {
		ok, err = isReadable(fd)
		return err
	})
	return ok, err
}

// IsPath reports whether a descriptor was opened with O_PATH: fcntl(2), F_GETFL.
func IsPath(fd int) (bool, error) {
	var ok bool
	err := do("fcntl F_GETFL", func() (err error) {
		ok, err = isPath(fd)
		return err
	})
	return ok, err
}

// SetNoAtime has reads through a descriptor leave the access time of the file as it is: fcntl(2),
// F_SETFL, O_NOATIME. The error is EPERM unless the caller owns the file or has CAP_FOWNER over it.
func SetNoAtime(fd int) error {
	return do("fcntl F_SETFL", func() error { return setNoAtime(fd) })
}

// CapFsetid is CAP_FSETID, for [Capable]: the kernel leaves the set-id bits of a file that a thread
// with this capability writes to (capabilities(7)).
const CapFsetid = 4

// Capable reports whether the calling thread has a capability in its effective set: capget(2). In a
// user namespace this is a capability over what the namespace maps.
func Capable(capability int) (bool, error) {
	var ok bool
	err := do("capget", func() (err error) {
		ok, err = capable(capability)
		return err
	})
	return ok, err
}
