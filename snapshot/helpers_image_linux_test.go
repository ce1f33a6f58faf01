package snapshot_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// An image is a filesystem in a file with a name, which unlike those of mounttest can be
// unmounted and mounted again.
type image struct {
	kind    *mounttest.Kind
	path    string
	dir     string // where it is mounted
	mounted bool
}

// imageSize is about as small as mkfs.xfs makes one.
const imageSize = 320 << 20

// newImage makes a filesystem in the file path. It is unmounted at the end of the test.
func newImage(t testing.TB, kind *mounttest.Kind, path string) *image {
	t.Helper()
	i := &image{kind: kind, path: path, dir: mounttest.Dir(t, mounttest.Host)}
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(imageSize))
	kind.Mkfs(t, path)
	t.Cleanup(func() {
		if i.mounted {
			i.unmount(t)
		}
	})
	return i
}

// mount mounts the filesystem, which recovers it if it was not unmounted properly.
func (i *image) mount(t testing.TB) {
	t.Helper()
	device, err := attach(i.path)
	must(t, err)
	defer device.Close() // the mount holds it
	if err := unix.Mount(device.Name(), i.dir, i.kind.String(), 0, i.kind.Options()); err != nil {
		t.Fatalf("mount %s: %v", i.kind, err)
	}
	i.mounted = true
}

func (i *image) unmount(t testing.TB) {
	t.Helper()
	i.mounted = false
	err := unix.Unmount(i.dir, 0)
	for try := 0; err == unix.EBUSY && try < 100; try++ { // what a killed process had open goes a moment later
		time.Sleep(5 * time.Millisecond)
		err = unix.Unmount(i.dir, 0)
	}
	if err != nil {
		t.Errorf("unmount %s: %v", i.kind, err)
		_ = unix.Unmount(i.dir, unix.MNT_DETACH)
	}
}

// attach returns a loop device over an existing file. The device goes when it is closed and not
// mounted.
func attach(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the device keeps it
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	config := unix.LoopConfig{Fd: uint32(f.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
	for try := range 100 {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, os.NewSyscallError("LOOP_CTL_GET_FREE", err)
		}
		device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		if err = unix.IoctlLoopConfigure(int(device.Fd()), &config); err == nil {
			return device, nil
		}
		device.Close()
		if !errors.Is(err, unix.EBUSY) { // another process was quicker
			return nil, os.NewSyscallError("LOOP_CONFIGURE", err)
		}
		time.Sleep(time.Duration(try) * time.Millisecond)
	}
	return nil, errors.New("no loop device stays free for long enough to take it")
}

// XFS and ext4 can be told to stop at once, as after an error that they cannot survive: nothing
// is written to the device any more, and every call fails until they are mounted again. btrfs
// and tmpfs cannot.
const (
	ioctlShutdown = 0x8004587d // XFS_IOC_GOINGDOWN, EXT4_IOC_SHUTDOWN
	logFlush      = 1          // the log is written first
	noLogFlush    = 2          // what the log holds in memory is lost, as when the power fails
)
