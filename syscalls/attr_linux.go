package syscalls

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func fstat(fd int, sync bool) (Stat, error) {
	flags := 0
	if sync {
		flags = unix.AT_STATX_FORCE_SYNC
	}
	var stx unix.Statx_t
	const mask = unix.STATX_BASIC_STATS | unix.STATX_MNT_ID_UNIQUE
	err := unix.Statx(fd, "", flags|unix.AT_EMPTY_PATH, mask, &stx)
	// Package syscall's type, because that is what fs.FileInfo.Sys is known to hold.
	st := new(syscall.Stat_t)
	if err = statxUnsupported(err); errors.Is(err, errors.ErrUnsupported) {
		stx.Mask, err = 0, syscall.Fstat(fd, st)
	} else {
		fromStatx(st, &stx)
	}
	if err != nil {
		return Stat{}, err
	}
	s := Stat{
		Dev:    uint64(st.Dev), // narrower on some architectures
		Ino:    st.Ino,
		Nlink:  uint64(st.Nlink),
		Mode:   mode(st.Mode),
		Perm:   st.Mode & 0o7777,
		UID:    st.Uid,
		GID:    st.Gid,
		Size:   st.Size,
		Blocks: st.Blocks,
		Mtime:  time.Unix(st.Mtim.Unix()),
		Ctime:  time.Unix(st.Ctim.Unix()),
		Sys:    st,
	}
	if stx.Mask&unix.STATX_MNT_ID_UNIQUE != 0 {
		s.Mount = stx.Mnt_id
	}
	return s, nil
}

// fromStatx makes st what fstat(2) returns.
func fromStatx(st *syscall.Stat_t, stx *unix.Statx_t) {
	set(&st.Dev, unix.Mkdev(stx.Dev_major, stx.Dev_minor))
	set(&st.Rdev, unix.Mkdev(stx.Rdev_major, stx.Rdev_minor))
	set(&st.Nlink, uint64(stx.Nlink))
	set(&st.Blksize, uint64(stx.Blksize))
	st.Ino, st.Mode, st.Uid, st.Gid = stx.Ino, uint32(stx.Mode), stx.Uid, stx.Gid
	st.Size, st.Blocks = int64(stx.Size), int64(stx.Blocks)
	st.Atim, st.Mtim, st.Ctim = timespec(stx.Atime), timespec(stx.Mtime), timespec(stx.Ctime)
}

// set sets a field whose type depends on the architecture.
func set[T int32 | uint32 | int64 | uint64](field *T, value uint64) { *field = T(value) }

func timespec(t unix.StatxTimestamp) (ts syscall.Timespec) {
	set(&ts.Sec, uint64(t.Sec))
	set(&ts.Nsec, uint64(t.Nsec))
	return ts
}

func isAppendOnly(fd int) (bool, error) {
	st, err := statx(fd)
	return st.Attributes&unix.STATX_ATTR_APPEND != 0, err
}

func fileFlags(fd int) (Flags, error) {
	st, err := statx(fd)
	return Flags(st.Attributes) & (FlagImmutable | FlagAppendOnly | FlagMountRoot), err
}

func statx(fd int) (st unix.Statx_t, err error) {
	err = unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS, &st)
	return st, statxUnsupported(err)
}

func statxUnsupported(err error) error {
	return orUnsupported(err,
		syscall.ENOSYS, // before Linux 4.11
		syscall.EPERM,  // a seccomp filter
	)
}

func mode(m uint32) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	switch m & unix.S_IFMT {
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	case unix.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		mode |= fs.ModeSocket
	case unix.S_IFBLK:
		mode |= fs.ModeDevice
	case unix.S_IFCHR:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFREG:
	default:
		mode |= fs.ModeIrregular
	}
	if m&unix.S_ISUID != 0 {
		mode |= fs.ModeSetuid
	}
	if m&unix.S_ISGID != 0 {
		mode |= fs.ModeSetgid
	}
	if m&unix.S_ISVTX != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}

func fchown(fd int, uid, gid uint32) error { return unix.Fchown(fd, int(uid), int(gid)) }

func fchmod(fd int, perm uint32) error { return unix.Fchmod(fd, perm) }

func flistxattr(fd int) ([]string, error) {
	buf, err := getxattr(func(buf []byte) (int, error) { return unix.Flistxattr(fd, buf) })
	if err == unix.EBADF {
		buf, err = getxattr(func(buf []byte) (int, error) {
			return unix.Listxattr(procPath(fd), buf)
		})
		err = badUnlessOpen(fd, err)
	}
	if err != nil || len(buf) == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(buf), "\x00"), "\x00"), nil
}

func fgetxattr(fd int, name string) ([]byte, error) {
	value, err := getxattr(func(buf []byte) (int, error) { return unix.Fgetxattr(fd, name, buf) })
	if err == unix.EBADF {
		value, err = getxattr(func(buf []byte) (int, error) {
			return unix.Getxattr(procPath(fd), name, buf)
		})
		err = badUnlessOpen(fd, err)
	}
	return value, classify(err, fs.ErrNotExist, unix.ENODATA)
}

// badUnlessOpen returns EBADF if err means that the second way does not exist: the descriptor is
// not open, /proc is not mounted, or a sandbox refuses the call. ENOSYS would say that the file has
// no attributes.
func badUnlessOpen(fd int, err error) error {
	switch err {
	case unix.ENOENT: // or a file that is gone, on a server that goes by names
		if _, missing := fdPath(fd); missing == nil {
			return err
		}
	case unix.ENOSYS:
	default:
		return err
	}
	return unix.EBADF
}

// getxattr calls get with a buffer that is large enough. An attribute may grow between the call
// that asks for the size and the one that reads.
func getxattr(get func(buf []byte) (int, error)) ([]byte, error) {
	for {
		n, err := get(nil)
		if err != nil || n == 0 {
			return nil, err
		}
		buf := make([]byte, n)
		n, err = get(buf)
		if errors.Is(err, unix.ERANGE) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return buf[:n], nil
	}
}

func fsetxattr(fd int, name string, value []byte) error { return unix.Fsetxattr(fd, name, value, 0) }

func fremovexattr(fd int, name string) error { return unix.Fremovexattr(fd, name) }

// noCOWFlag is FS_NOCOW_FL of linux/fs.h.
const noCOWFlag = 0x00800000

func isNoCOW(fd int) (bool, error) {
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	return flags&noCOWFlag != 0, err
}

func isRealtime(fd int) (bool, error) {
	var attr [28]byte // struct fsxattr, of which fsx_xflags is the first word
	// FS_IOC_FSGETXATTR of linux/fs.h is _IOR('X', 31, struct fsxattr). The bits of _IOR depend on the
	// architecture; FS_IOC_GETFLAGS has them, too.
	const ior = unix.FS_IOC_GETFLAGS & 0xe0000000
	const fsgetxattr = ior | uintptr(len(attr))<<16 | 'X'<<8 | 31
	const realtime = 0x1 // FS_XFLAG_REALTIME
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fsgetxattr, uintptr(unsafe.Pointer(&attr)))
	if errno != 0 {
		return false, errno
	}
	return binary.NativeEndian.Uint32(attr[:])&realtime != 0, nil
}

func setNoCOW(fd int, on bool) error {
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	flags &^= noCOWFlag
	if on {
		flags |= noCOWFlag
	}
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags))
}

func setNoAtime(fd int) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags|unix.O_NOATIME)
	return err
}

const _ = uint(CapFsetid - unix.CAP_FSETID) // they are equal, or this does not compile
const _ = uint(unix.CAP_FSETID - CapFsetid)

func capable(capability int) (bool, error) {
	var sets [2]unix.CapUserData // 32 capabilities each
	if capability < 0 || capability >= 32*len(sets) {
		return false, unix.EINVAL
	}
	err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &sets[0])
	return sets[capability/32].Effective&(1<<(capability%32)) != 0, err
}

func isReadable(fd int) (bool, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return flags&unix.O_PATH == 0 && flags&unix.O_ACCMODE != unix.O_WRONLY, err
}

func isPath(fd int) (bool, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return flags&unix.O_PATH != 0 && err == nil, err
}
