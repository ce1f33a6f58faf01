package snapshot_test

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// without runs f on a thread whose system calls of these numbers fail.
func without(t *testing.T, errno syscall.Errno, calls []uintptr, f func() error) {
	t.Helper()
	mounttest.OnThread(t, func() error {
		for _, call := range calls {
			if err := mounttest.Refuse(call, errno); err != nil {
				return err
			}
		}
		return f()
	})
}

// An ordinary user reads a file of root's in a directory of root's, whole, on every filesystem, on
// a read-only mount and in each layer of an overlayfs, and does so too in a sandbox that knows
// neither copy_file_range nor the ioctl of reflinks, or no memfd and no leases. Where TempDir
// is on the same filesystem, and that has reflinks, nothing is copied.
//
//promise:snapshot.Config.Open Open needs read permission alone, also on read-only mounts
//promise:snapshot.Config.Open Open works without O_TMPFILE, copy_file_range, leases or memfd
func TestUserReadsAnywhere(t *testing.T) {
	data := noise(1, 3<<20+17)
	var dirs string
	if !mounttest.IsUserChild() {
		mounttest.Need(t, "CAP_SYS_ADMIN")
		var made []string
		for _, kind := range mounttest.Kinds(mounttest.Known) {
			dir := kind.Dir(t)
			must(t, os.Mkdir(join(dir, "tmp"), 0o777))
			must(t, os.Chmod(join(dir, "tmp"), 0o777))
			write(t, join(dir, "f"), data)
			made = append(made, dir, readOnly(t, dir))
		}
		for _, kinds := range [][2]mounttest.Property{{onDisk, mounttest.Reflinks}, {mounttest.Reflinks, mounttest.Memory}} {
			o := newOverlay(t, kinds[0], kinds[1])
			write(t, join(o.lower, "f"), data)
			made = append(made, o.merged)
			o = newOverlay(t, kinds[0], kinds[1])
			write(t, join(o.upper, "f"), data)
			made = append(made, o.merged)
		}
		dirs = fmt.Sprint(len(made))
		for i, dir := range made {
			t.Setenv("TEST_DIR"+fmt.Sprint(i), dir)
		}
	}
	mounttest.AsUser(t, func(t *testing.T) {
		mounttest.Leaks(t)
		n := 0
		_, err := fmt.Sscan(os.Getenv("TEST_DIRS"), &n)
		must(t, err)
		for i := range n {
			dir := os.Getenv("TEST_DIR" + fmt.Sprint(i))
			name := join(dir, "f")
			f := openFile(t, name, os.O_RDONLY)
			for _, f := range []*os.File{nil, f} {
				method, err := read(snapshot.Config{}, f, name, data)
				must(t, err)
				if method != snapshot.ComparedCopy {
					t.Errorf("%s: %v", dir, method)
				}
				for _, errno := range []syscall.Errno{syscall.ENOSYS, syscall.EPERM} {
					without(t, errno, []uintptr{unix.SYS_COPY_FILE_RANGE}, func() error {
						_, err := read(snapshot.Config{}, f, name, data)
						return err
					})
					without(t, errno, []uintptr{unix.SYS_COPY_FILE_RANGE, unix.SYS_IOCTL, unix.SYS_MEMFD_CREATE}, func() error {
						_, err := read(snapshot.Config{}, f, name, data)
						return err
					})
				}
				if _, err := os.Stat(join(dir, "tmp")); err == nil && f == nil {
					c := snapshot.Config{TempDir: join(dir, "tmp")}
					method, err := read(c, f, name, data)
					must(t, err)
					// Each second one is mounted read-only, so that it is memory there.
					if want := reflinks(dir) && i%2 == 0; (method == snapshot.Reflink) != want {
						t.Errorf("%s: %v", dir, method)
					}
					wantNames(t, join(dir, "tmp"))
				}
			}
		}
	}, "TEST_DIRS="+dirs)
}

// In a sandbox that refuses system calls the copy goes on by other means: whichever is refused,
// a file is read whole, and the method is one that was possible.
//
//promise:snapshot.Config.Open if a sandbox refuses a system call, Open copies by other calls
func TestSandbox(t *testing.T) {
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 3<<20+17)
		write(t, name, data)
		for _, errno := range []syscall.Errno{syscall.ENOSYS, syscall.EPERM} {
			without(t, errno, []uintptr{unix.SYS_COPY_FILE_RANGE}, func() error {
				method, err := read(snapshot.Config{}, nil, name, data)
				if want := map[bool]snapshot.Method{true: snapshot.Reflink, false: snapshot.LeasedCopy}[reflinks(dir)]; method != want {
					t.Errorf("%v, want %v", method, want)
				}
				return err
			})
			without(t, errno, []uintptr{unix.SYS_COPY_FILE_RANGE, unix.SYS_IOCTL}, func() error {
				method, err := read(snapshot.Config{}, nil, name, data)
				if method != snapshot.LeasedCopy {
					t.Errorf("%v", method)
				}
				_, no := read(snapshot.Config{NoCopy: true}, nil, name, data)
				wantError(t, no, errors.ErrUnsupported, "open "+name+": ficlone: "+errno.Error())
				return err
			})
			without(t, errno, []uintptr{unix.SYS_COPY_FILE_RANGE, unix.SYS_IOCTL, unix.SYS_FCNTL}, func() error {
				method, err := read(snapshot.Config{}, nil, name, data)
				if method != snapshot.ComparedCopy {
					t.Errorf("%v", method)
				}
				_, no := read(snapshot.Config{RequireConsistent: true}, nil, name, data)
				wantError(t, no, snapshot.ErrUnstable, "open "+name+": no consistent copy: fcntl F_SETLEASE: "+errno.Error())
				return err
			})
		}
	})
}
