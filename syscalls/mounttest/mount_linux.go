package mounttest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// sharedSize is far more than tests write: images are sparse.
const sharedSize = 16 << 30

// magic is what statfs says of each kind that can be mounted; constant.
var magic = map[string]uint32{
	"xfs":   unix.XFS_SUPER_MAGIC,
	"btrfs": unix.BTRFS_SUPER_MAGIC,
	"ext4":  unix.EXT4_SUPER_MAGIC,
	"tmpfs": unix.TMPFS_MAGIC,
}

// mkfsQuick makes mkfs write as little as it can and discard nothing, whatever was on the
// device; constant.
var mkfsQuick = map[string][]string{
	"xfs":   {"-q", "-K", "-f"},
	"btrfs": {"-q", "-K", "-f"},
	"ext4":  {"-q", "-F", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1"},
}

func kindOf(path string) string {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) == nil {
		for kind, m := range magic {
			if uint32(st.Type) == m {
				return kind
			}
		}
	}
	return ""
}

// sharedRoot returns the root of the session's filesystem of that kind, and
// makes it if no process of the session has.
func sharedRoot(kind string) (string, error) {
	if kind == "host" {
		return os.TempDir(), nil
	}
	if current == nil {
		return "", canMount()
	}
	unlock, err := current.lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	// A child of AsUser may not mount but may use what is there.
	dir := filepath.Join(current.base, "fs", kind)
	if mounted, err := isMountPoint(dir); err == nil && mounted {
		return dir, nil
	}
	if err := available(kind); err != nil {
		return "", err
	}
	if _, err := current.mountPoints(); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return dir, mountSparse(kind, dir, sharedSize, nil)
}

func fresh(kind string, size int64, mkfsArgs []string) (dir string, unmount func() error, err error) {
	return mountNew(kind, func(dir string) error { return mountSparse(kind, dir, size, mkfsArgs) })
}

func on(kind string, image *os.File, mkfsArgs []string) (dir string, unmount func() error, err error) {
	if kind == "tmpfs" {
		return "", nil, errors.New("lies on no disk")
	}
	return mountNew(kind, func(dir string) error {
		device, err := attach(image, unix.LO_FLAGS_DIRECT_IO)
		if err != nil {
			return err
		}
		return mountDevice(kind, dir, device, mkfsArgs)
	})
}

// mountNew makes a mount point and has mount mount a filesystem there.
func mountNew(kind string, mount func(dir string) error) (dir string, unmount func() error, err error) {
	if kind == "host" {
		return "", nil, missing("no new filesystem of this kind can be made")
	}
	if err := available(kind); err != nil {
		return "", nil, err
	}
	unlock, err := current.lock()
	if err != nil {
		return "", nil, err
	}
	points, err := current.mountPoints()
	unlock()
	if err != nil {
		return "", nil, err
	}
	dir, err = os.MkdirTemp(points, kind+"-")
	if err != nil {
		return "", nil, err
	}
	if err := mount(dir); err != nil {
		return "", nil, errors.Join(err, os.Remove(dir))
	}
	return dir, func() error {
		err := unix.Unmount(dir, 0)
		if err != nil {
			err = fmt.Errorf("unmount %s: %w", dir, err)
			_ = unix.Unmount(dir, unix.MNT_DETACH)
		}
		return errors.Join(err, os.Remove(dir))
	}, nil
}

// available returns the reason why a filesystem of that kind cannot be had, or nil.
func available(kind string) error {
	if magic[kind] == 0 {
		return fmt.Errorf("unknown kind, want one of %s", strings.Join(kinds, ", "))
	}
	if err := canMount(); err != nil {
		return err
	}
	// fsopen loads the filesystem's module if there is one, as mount would.
	fd, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if errors.Is(err, unix.ENODEV) {
		return missing("the kernel does not know this filesystem")
	} else if err != nil {
		return missing("fsopen: " + err.Error())
	}
	unix.Close(fd)
	if kind == "tmpfs" {
		return nil
	}
	if _, err := findMkfs(kind); err != nil {
		return err
	}
	control, err := os.OpenFile(loopControl, os.O_RDWR, 0)
	if err != nil {
		return missing("no loop devices: " + err.Error())
	}
	return control.Close()
}

// findMkfs looks where mkfs is also if PATH leaves that out, as an ordinary user's often does.
func findMkfs(kind string) (string, error) {
	name := "mkfs." + kind
	for _, dir := range []string{"", "/usr/sbin/", "/sbin/", "/usr/local/sbin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path, nil
		}
	}
	return "", missing(name + " not found in PATH")
}

// mountSparse makes a filesystem of size bytes and mounts it at dir, whose root everyone may
// use.
func mountSparse(kind, dir string, size int64, mkfsArgs []string) error {
	if kind == "tmpfs" {
		err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("mode=1777,size=%d", size))
		return os.NewSyscallError("mount", err)
	}
	device, err := attachSparse(size)
	if err != nil {
		return err
	}
	return mountDevice(kind, dir, device, mkfsArgs)
}

// mountDevice makes a filesystem on device, mounts it at dir, and closes device: the
// mount holds it, and it goes with its last user.
func mountDevice(kind, dir string, device *os.File, mkfsArgs []string) error {
	defer device.Close()
	if err := mkfs(kind, device.Name(), mkfsArgs); err != nil {
		return err
	}
	options := ""
	if kind == "ext4" {
		options = "noinit_itable" // else the kernel fills the image in the background
	}
	if err := unix.Mount(device.Name(), dir, kind, 0, options); err != nil {
		return fmt.Errorf("mount %s: %w", device.Name(), err)
	}
	return os.Chmod(dir, 0o777|os.ModeSticky)
}

func mkfs(kind, device string, args []string) error {
	path, err := findMkfs(kind)
	if err != nil {
		return err
	}
	all := append(append([]string{}, mkfsQuick[kind]...), args...)
	out, err := exec.Command(path, append(all, device)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", path, strings.Join(all, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
