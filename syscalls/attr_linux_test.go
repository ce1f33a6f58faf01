package syscalls_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var _ = describe(
	call{
		function: "Fstat", name: "fstat", number: none,
		do: func(f *files) error { return second(syscalls.Fstat(f.file())) },
	},
	call{
		function: "FstatSync", name: "fstat", number: none,
		do: func(f *files) error { return second(syscalls.FstatSync(f.file())) },
	},
	call{
		function: "Fchown", name: "fchown", number: none,
		do: func(f *files) error { return syscalls.Fchown(f.file(), 0, 0) },
	},
	call{
		function: "Fchmod", name: "fchmod", number: unix.SYS_FCHMOD,
		do:       func(f *files) error { return syscalls.Fchmod(f.file(), 0) },
		failures: errnos{syscall.EPERM, syscall.EINVAL},
	},
	call{
		function: "IsReadable", name: "fcntl F_GETFL", number: unix.SYS_FCNTL,
		do:       func(f *files) error { return second(syscalls.IsReadable(f.file())) },
		failures: errnos{syscall.EPERM, syscall.EINVAL},
	},
	call{
		function: "IsPath", name: "fcntl F_GETFL", number: unix.SYS_FCNTL,
		do:       func(f *files) error { return second(syscalls.IsPath(f.file())) },
		failures: errnos{syscall.EPERM, syscall.EINVAL},
	},
	call{
		function: "IsRealtime", name: "fs_ioc_fsgetxattr", number: unix.SYS_IOCTL,
		do:          func(f *files) error { return second(syscalls.IsRealtime(f.file())) },
		unsupported: errnos{syscall.ENOTTY},
		failures:    errnos{syscall.EINVAL},
	},
	call{
		function: "IsNoCOW", name: "fs_ioc_getflags", number: unix.SYS_IOCTL,
		do:          func(f *files) error { return second(syscalls.IsNoCOW(f.file())) },
		unsupported: errnos{syscall.ENOTTY},
		failures:    errnos{syscall.EPERM, syscall.EINVAL},
	},
	call{
		function: "SetNoCOW", name: "fs_ioc_setflags", number: unix.SYS_IOCTL,
		do:          func(f *files) error { return syscalls.SetNoCOW(f.file(), true) },
		unsupported: errnos{syscall.ENOTTY},
		failures:    errnos{syscall.EPERM, syscall.EINVAL},
	},
)

// Fstat, and FstatSync, say what os.Lstat says, and besides it what the kernel does.
//
//promise:syscalls.Fstat all fields are those of os.Lstat and of the kernel
//promise:syscalls.Stat all fields are those of os.Lstat and of the kernel
//promise:syscalls.FstatSync on local filesystems FstatSync returns the same as Fstat
func TestFstat(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		path := func(name string) string { return filepath.Join(dir, name) }
		newFile(t, dir, "file", noise(100000, 1))
		must(t, unix.Link(path("file"), path("hard link")))
		must(t, os.Chtimes(path("file"), time.Time{}, time.Unix(1, 23456000)))
		for name, perm := range map[string]uint32{"none": 0, "set-uid": 0o4755, "set-gid": 0o2711, "sticky": 0o1777, "all": 0o7777} {
			newFile(t, dir, name, nil)
			must(t, unix.Chmod(path(name), perm))
		}
		must(t, unix.Mkdir(path("dir"), 0o700))
		must(t, unix.Chmod(path("dir"), 0o1777))
		must(t, unix.Mkfifo(path("fifo"), 0o600))
		must(t, unix.Symlink("nowhere", path("link")))
		t.Chdir(dir) // the name of a socket is short
		socket, err := net.Listen("unix", "socket")
		must(t, err)
		defer socket.Close()
		names := []string{"file", "hard link", "none", "set-uid", "set-gid", "sticky", "all", "dir", "fifo", "link", "socket", "/dev/null", "/"}
		if mounttest.Can("CAP_MKNOD") && mounttest.Can("CAP_CHOWN") {
			must(t, unix.Mknod(path("block"), unix.S_IFBLK|0o600, int(unix.Mkdev(7, 0))))
			must(t, unix.Chown(path("none"), 123, 1<<30))
			names = append(names, "block")
		}
		for _, name := range names {
			fd, err := syscalls.OpenPath(syscalls.AtFdcwd, name)
			got, err2 := syscalls.Fstat(opened(t, fd, err))
			must(t, err2)
			again, err2 := syscalls.FstatSync(fd)
			must(t, err2)
			fi, err := os.Lstat(name)
			must(t, err)
			st := fi.Sys().(*syscall.Stat_t)
			want := syscalls.Stat{
				Dev: uint64(st.Dev), Ino: st.Ino, Nlink: uint64(st.Nlink),
				Mode: fi.Mode(), Perm: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid,
				Size: fi.Size(), Blocks: st.Blocks, Mtime: fi.ModTime(), Ctime: time.Unix(st.Ctim.Unix()),
			}
			sys, ok := got.Sys.(*syscall.Stat_t)
			if !ok || sys.Ino != st.Ino {
				t.Errorf("%s: Sys is %T %v", name, got.Sys, got.Sys)
			}
			if !reflect.DeepEqual(again, got) {
				t.Errorf("%s: FstatSync says\n%+v, want\n%+v", name, again, got)
			}
			wantSys(t, name, sys, st)
			got.Sys, got.Mount = nil, 0
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s:\n%+v, want\n%+v", name, got, want)
			}
		}
	})
}

// wantSys compares all fields that have a meaning. The access time of "/" is left out: other
// processes change it.
func wantSys(t *testing.T, name string, got, want *syscall.Stat_t) {
	t.Helper()
	a, b := reflect.ValueOf(*got), reflect.ValueOf(*want)
	for i := range a.NumField() {
		field := a.Type().Field(i).Name
		padding := strings.HasPrefix(field, "X_") || strings.HasPrefix(field, "Pad_")
		if padding || field == "Atim" && name == "/" || a.Field(i).Kind() == reflect.Array {
			continue
		}
		if !a.Field(i).Equal(b.Field(i)) {
			t.Errorf("%s: %s of Sys is %v, want %v", name, field, a.Field(i), b.Field(i))
		}
	}
}

// Where a seccomp filter refuses statx(2), Fstat returns the same but for the mount.
//
//promise:syscalls.Fstat without statx(2) Fstat uses fstat(2)
func TestFstatWithoutStatx(t *testing.T) {
	fd := newFile(t, t.TempDir(), "file", noise(1000, 1))
	want, err := syscalls.Fstat(fd)
	must(t, err)
	sys := want.Sys.(*syscall.Stat_t)
	want.Sys, want.Mount = nil, 0
	for _, errno := range []syscall.Errno{syscall.ENOSYS, syscall.EPERM} {
		mounttest.OnThread(t, func() error {
			if err := mounttest.Refuse(unix.SYS_STATX, errno); err != nil {
				return err
			}
			got, err := syscalls.Fstat(fd)
			if err != nil {
				return err
			}
			wantSys(t, errno.Error(), got.Sys.(*syscall.Stat_t), sys)
			got.Sys = nil
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%v: %+v, want\n%+v", errno, got, want)
			}
			return nil
		})
	}
}

// Two files on one mount have one number, and files on two mounts two.
//
//promise:syscalls.Stat no two mounts have the same number
func TestStatMount(t *testing.T) {
	numbers := map[uint64]string{}
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		st, err := syscalls.Fstat(newFile(t, dir, "file", nil))
		must(t, err)
		at, err := syscalls.OpenDir(syscalls.AtFdcwd, dir)
		again, err2 := syscalls.Fstat(opened(t, at, err))
		must(t, err2)
		if st.Mount == 0 {
			t.Skip("this kernel does not number mounts (Linux 6.8)")
		}
		if again.Mount != st.Mount {
			t.Errorf("the directory is on mount %d, the file on %d", again.Mount, st.Mount)
		}
		if other, ok := numbers[st.Mount]; ok {
			t.Errorf("mount %d is that of %s, too", st.Mount, other)
		}
		numbers[st.Mount] = kind.String()
	})
}

// What Fstat tells, Fchmod takes.
//
//promise:syscalls.Fchmod Fchmod accepts the permissions that Fstat reports
func TestFchmod(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		fd := newFile(t, dir, "file", nil)
		for _, perm := range []uint32{0, 0o600, 0o4755, 0o2775, 0o1777, 0o7777} {
			must(t, syscalls.Fchmod(fd, perm))
			if st, err := syscalls.Fstat(fd); st.Perm != perm || err != nil {
				t.Errorf("Perm is %#o, %v, want %#o", st.Perm, err, perm)
			}
		}
	})
}

//promise:syscalls.Fchown Fchown sets owner and group
func TestFchown(t *testing.T) {
	mounttest.Need(t, "CAP_CHOWN")
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		fd := newFile(t, dir, "file", nil)
		must(t, syscalls.Fchmod(fd, 0o6755))
		must(t, syscalls.Fchown(fd, 1234, 1<<32-2))
		if st, err := syscalls.Fstat(fd); st.UID != 1234 || st.GID != 1<<32-2 || err != nil {
			t.Errorf("owner %d, group %d, %v", st.UID, st.GID, err)
		} else if st.Perm != 0o755 {
			t.Errorf("permissions %#o, want the set-id bits cleared", st.Perm)
		}
	})
}

//promise:syscalls.IsReadable IsReadable is false for descriptors of O_WRONLY and O_PATH
//promise:syscalls.IsPath IsPath is true for descriptors of O_PATH alone
func TestIsReadable(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		newFile(t, dir, "file", nil)
		name := filepath.Join(dir, "file")
		for flags, want := range map[int]bool{
			unix.O_RDONLY: true, unix.O_RDWR: true, unix.O_WRONLY: false, unix.O_PATH: false,
			unix.O_RDWR | unix.O_APPEND: true, unix.O_WRONLY | unix.O_APPEND: false,
		} {
			if got, err := syscalls.IsReadable(open(t, name, flags)); got != want || err != nil {
				t.Errorf("opened with %#o: %t, %v", flags, got, err)
			}
			want = flags == unix.O_PATH
			if got, err := syscalls.IsPath(open(t, name, flags)); got != want || err != nil {
				t.Errorf("opened with %#o: IsPath is %t, %v", flags, got, err)
			}
		}
	})
}

//promise:syscalls.IsNoCOW IsNoCOW reports whether a file has the NOCOW attribute
//promise:syscalls.SetNoCOW SetNoCOW sets and clears the NOCOW attribute of an empty file
func TestNoCOW(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		fd := newFile(t, dir, "file", nil)
		if on, err := syscalls.IsNoCOW(fd); on || err != nil {
			t.Errorf("a new file: %t, %v", on, err)
		}
		if !kind.Has(mounttest.NoCOW) {
			check := unchanged(t, fd)
			wantUnsupported(t, syscalls.SetNoCOW(fd, true), "fs_ioc_setflags", syscall.EOPNOTSUPP)
			check()
			must(t, syscalls.SetNoCOW(fd, false)) // it is so
			return
		}
		// Another attribute stays.
		setFlag(t, fd, noDump, true)
		for _, on := range []bool{true, false, true} {
			must(t, syscalls.SetNoCOW(fd, on))
			if got, err := syscalls.IsNoCOW(fd); got != on || err != nil {
				t.Errorf("set to %t: %t, %v", on, got, err)
			}
		}
		if flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS); flags&noDump == 0 || err != nil {
			t.Errorf("flags %#x, %v: lost one", flags, err)
		}
	})
	null := open(t, "/dev/null", unix.O_RDWR)
	_, err := syscalls.IsNoCOW(null)
	wantUnsupported(t, err, "fs_ioc_getflags", syscall.ENOTTY)
	wantUnsupported(t, syscalls.SetNoCOW(null, true), "fs_ioc_setflags", syscall.ENOTTY)
}

// A file that has contents stays what it is, without a word.
//
//promise:syscalls.SetNoCOW a file with contents stays as it is, without an error
func TestSetNoCOWOfFileWithContents(t *testing.T) {
	eachOf(t, mounttest.NoCOW, func(t *testing.T, kind *mounttest.Kind, dir string) {
		for _, exempt := range []bool{false, true} {
			fd := newFile(t, dir, fmt.Sprint(exempt), nil)
			must(t, syscalls.SetNoCOW(fd, exempt))
			write(t, fd, noise(page, 1), 0)
			must(t, syscalls.SetNoCOW(fd, !exempt))
			if on, err := syscalls.IsNoCOW(fd); on != exempt || err != nil {
				t.Errorf("%t became %t, %v", exempt, on, err)
			}
		}
	})
}

// A clone needs both files to be of one kind.
//
//promise:syscalls.Ficlone on btrfs either both files have NOCOW or neither, else EINVAL
func TestFicloneNoCOW(t *testing.T) {
	needCall(t, "FICLONE")
	eachOf(t, mounttest.NoCOW, func(t *testing.T, kind *mounttest.Kind, dir string) {
		src, dst := newFile(t, dir, "src", nil), newFile(t, dir, "dst", nil)
		must(t, syscalls.SetNoCOW(src, true))
		data := noise(64<<10, 1)
		write(t, src, data, 0)
		check := unchanged(t, dst)
		wantUnsupported(t, syscalls.Ficlone(dst, src), "ficlone", syscall.EINVAL)
		check()
		must(t, syscalls.SetNoCOW(dst, true))
		must(t, syscalls.Ficlone(dst, src))
		wantContents(t, dst, data)
		if n := bytesWith(extents(t, dst), shared); n != len(data) {
			t.Errorf("%d bytes of %d are shared", n, len(data))
		}
	})
}

//promise:syscalls.Ficlone an immutable destination is refused
func TestFicloneImmutable(t *testing.T) {
	needCall(t, "FICLONE")
	mounttest.Need(t, "CAP_LINUX_IMMUTABLE")
	eachOf(t, mounttest.Reflinks, func(t *testing.T, kind *mounttest.Kind, dir string) {
		src, dst := newFile(t, dir, "src", noise(page, 1)), newFile(t, dir, "dst", nil)
		setFlag(t, dst, immutable, true)
		defer setFlag(t, dst, immutable, false)
		check := unchanged(t, dst)
		wantUnsupported(t, syscalls.Ficlone(dst, src), "ficlone", syscall.EPERM)
		check()
	})
}

// A realtime device needs a kernel with CONFIG_XFS_RT, which few distributions have.
//
//promise:syscalls.IsRealtime a file on the data device is not realtime
func TestIsRealtime(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		on, err := syscalls.IsRealtime(newFile(t, dir, "f", nil))
		if on || err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v, %v", on, err)
		}
	})
}
