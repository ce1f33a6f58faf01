package mounttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// sharedSize is far more than tests write: images are sparse.
const sharedSize = 16 << 30

// magicOf returns what statfs says of the type of the filesystem that path lies on.
func magicOf(path string) (magic uint32, ok bool) {
	var st unix.Statfs_t
	err := unix.Statfs(path, &st)
	return uint32(st.Type), err == nil
}

// onHost reports whether path lies on the filesystem of the machine's temporary files.
func onHost(path string) bool {
	var at, host unix.Stat_t
	return unix.Stat(path, &at) == nil && unix.Stat(os.TempDir(), &host) == nil && at.Dev == host.Dev
}

// made has the kind of each device that mountNew mounted and that is still mounted.
var made sync.Map

// madeAt returns the kind of the filesystem that this process made and path lies on, or nil.
func madeAt(path string) *Kind {
	var at unix.Stat_t
	if unix.Stat(path, &at) != nil {
		return nil
	}
	k, _ := made.Load(uint64(at.Dev))
	kind, _ := k.(*Kind)
	return kind
}

// clones reports whether the filesystem of the machine's temporary files makes reflinks, of files
// without a name.
func clones() bool {
	to, err := unnamed()
	if err != nil {
		return false
	}
	defer to.Close()
	from, err := unnamed()
	if err != nil {
		return false
	}
	defer from.Close()
	return unix.IoctlFileClone(int(to.Fd()), int(from.Fd())) == nil
}

// unnamed returns a new temporary file whose name is removed already.
func unnamed() (*os.File, error) {
	f, err := os.CreateTemp("", "mounttest-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func hostRoot() (string, error) { return os.TempDir(), nil }

// sharedRoot returns the root of the session's filesystem of that kind, and
// makes it if no process of the session has.
func sharedRoot(k *Kind) (string, error) {
	if current == nil {
		return "", canMount()
	}
	unlock, err := current.lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	// A child of AsUser may not mount but may use what is there.
	dir := filepath.Join(current.base, "fs", k.name)
	if mounted, err := isMountPoint(dir); err == nil && mounted {
		return dir, nil
	}
	if err := available(k); err != nil {
		return "", err
	}
	if _, err := current.mountPoints(); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return dir, mountSparse(k, dir, sharedSize)
}

func fresh(k *Kind, size int64) (dir string, unmount func() error, err error) {
	return mountNew(k, func(dir string) error { return mountSparse(k, dir, size) })
}

func on(k *Kind, image *os.File) (dir string, unmount func() error, err error) {
	if !k.Has(Disk) {
		return "", nil, errors.New("lies on no disk")
	}
	return mountNew(k, func(dir string) error {
		device, err := attach(image, unix.LO_FLAGS_DIRECT_IO)
		if err != nil {
			return err
		}
		return mountDevice(k, dir, device)
	})
}

// mountNew makes a mount point and has mount mount a filesystem there.
func mountNew(k *Kind, mount func(dir string) error) (dir string, unmount func() error, err error) {
	if err := available(k); err != nil {
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
	dir, err = os.MkdirTemp(points, k.name+"-")
	if err != nil {
		return "", nil, err
	}
	if err := mount(dir); err != nil {
		return "", nil, errors.Join(err, os.Remove(dir))
	}
	var at unix.Stat_t
	if unix.Stat(dir, &at) == nil {
		made.Store(uint64(at.Dev), k)
	}
	return dir, func() error {
		made.Delete(uint64(at.Dev))
		err := unix.Unmount(dir, 0)
		if err != nil {
			err = fmt.Errorf("unmount %s: %w", dir, err)
			_ = unix.Unmount(dir, unix.MNT_DETACH)
		}
		return errors.Join(err, os.Remove(dir))
	}, nil
}

// available returns the reason why a filesystem of that kind cannot be had, or nil.
func available(k *Kind) error {
	if err := canMount(); err != nil {
		return err
	}
	// fsopen loads the filesystem's module if there is one, as mount would.
	fd, err := unix.Fsopen(k.name, unix.FSOPEN_CLOEXEC)
	if errors.Is(err, unix.ENODEV) {
		return missing("the kernel does not know this filesystem")
	} else if err != nil {
		return missing("fsopen: " + err.Error())
	}
	unix.Close(fd)
	if !k.Has(Disk) {
		return nil
	}
	if _, err := findMkfs(k); err != nil {
		return err
	}
	control, err := os.OpenFile(loopControl, os.O_RDWR, 0)
	if err != nil {
		return missing("no loop devices: " + err.Error())
	}
	return control.Close()
}

// findMkfs looks where mkfs is also if PATH leaves that out, as an ordinary user's often does.
func findMkfs(k *Kind) (string, error) {
	name := "mkfs." + k.name
	for _, dir := range []string{"", "/usr/sbin/", "/sbin/", "/usr/local/sbin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path, nil
		}
	}
	return "", missing(name + " not found in PATH")
}

// mountSparse makes a filesystem of size bytes and mounts it at dir, whose root everyone may
// use.
func mountSparse(k *Kind, dir string, size int64) error {
	if !k.Has(Disk) {
		err := unix.Mount(k.name, dir, k.name, 0, fmt.Sprintf("mode=1777,size=%d", size))
		return os.NewSyscallError("mount", err)
	}
	device, err := attachSparse(size)
	if err != nil {
		return err
	}
	return mountDevice(k, dir, device)
}

// mountDevice makes a filesystem on device, mounts it at dir, and closes device: the
// mount holds it, and it goes with its last user.
func mountDevice(k *Kind, dir string, device *os.File) error {
	defer device.Close()
	if err := mkfs(k, device.Name()); err != nil {
		return err
	}
	err := unix.Mount(device.Name(), dir, k.name, 0, k.options)
	if errors.Is(err, unix.ENOSYS) && k.Has(LargeBlocks) {
		return missing("the kernel mounts no blocks larger than a page")
	}
	if err != nil {
		return fmt.Errorf("mount %s: %w", device.Name(), err)
	}
	if err := os.Remove(filepath.Join(dir, "lost+found")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Chmod(dir, 0o777|os.ModeSticky)
}

func mkfs(k *Kind, path string) error {
	program, err := findMkfs(k)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd) // of a device, too
	if err != nil {
		return err
	}
	args := slices.Clone(k.mkfs)
	if size < k.smallAt {
		args = append(args, k.small...)
	}
	out, err := exec.Command(program, append(args, path)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
