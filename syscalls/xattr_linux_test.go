package syscalls_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var _ = describe(
	call{
		function: "Flistxattr", name: "flistxattr", number: unix.SYS_FLISTXATTR,
		second:   unix.SYS_LISTXATTR,
		do:       func(f *files) error { return second(syscalls.Flistxattr(f.file())) },
		failures: errnos{syscall.EPERM, syscall.E2BIG},
	},
	call{
		function: "Fgetxattr", name: "fgetxattr user.x", number: unix.SYS_FGETXATTR,
		second:   unix.SYS_GETXATTR,
		do:       func(f *files) error { return second(syscalls.Fgetxattr(f.file(), "user.x")) },
		failures: errnos{syscall.ENODATA, syscall.EPERM, syscall.E2BIG},
	},
	call{
		function: "Fsetxattr", name: "fsetxattr user.x", number: unix.SYS_FSETXATTR,
		do:       func(f *files) error { return syscalls.Fsetxattr(f.file(), "user.x", nil) },
		failures: errnos{syscall.EPERM, syscall.EEXIST, syscall.E2BIG},
	},
	call{
		function: "Fremovexattr", name: "fremovexattr user.x", number: unix.SYS_FREMOVEXATTR,
		do:       func(f *files) error { return syscalls.Fremovexattr(f.file(), "user.x") },
		failures: errnos{syscall.ENODATA, syscall.EPERM},
	},
)

//promise:syscalls.Fgetxattr Fgetxattr returns the value; a missing attribute is fs.ErrNotExist
//promise:syscalls.Fsetxattr Fsetxattr sets new and existing attributes to any bytes
//promise:syscalls.Flistxattr Flistxattr lists the names of all attributes
//promise:syscalls.Fremovexattr Fremovexattr removes an attribute
func TestXattr(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		fd := newFile(t, dir, "file", nil)
		wantXattrs := func(want ...string) {
			t.Helper()
			names, err := syscalls.Flistxattr(fd)
			slices.Sort(names)
			if err != nil || !slices.Equal(names, want) {
				t.Errorf("names are %q, %v, want %q", names, err, want)
			}
		}
		wantValue := func(name string, want []byte) {
			t.Helper()
			if value, err := syscalls.Fgetxattr(fd, name); err != nil || !bytes.Equal(value, want) {
				t.Errorf("%s is %d bytes, %v, want %d", name, len(value), err, len(want))
			}
		}
		wantXattrs()
		_, err := syscalls.Fgetxattr(fd, "user.a")
		wantErr(t, err, "fgetxattr user.a", syscall.ENODATA)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v is not %v", err, fs.ErrNotExist)
		}
		wantErr(t, syscalls.Fremovexattr(fd, "user.a"), "fremovexattr user.a", syscall.ENODATA)

		// Bytes of any kind, and none.
		values := map[string][]byte{"user.a": []byte("text"), "user.b": {}, "user.c": {0, 1, 0}, "user.d": noise(2000, 1)}
		for name, value := range values {
			must(t, syscalls.Fsetxattr(fd, name, value))
		}
		must(t, syscalls.Fsetxattr(fd, "user.e", nil))
		for name, value := range values {
			wantValue(name, value)
		}
		wantValue("user.e", nil)
		wantXattrs("user.a", "user.b", "user.c", "user.d", "user.e")
		// Old as new.
		must(t, syscalls.Fsetxattr(fd, "user.a", []byte("other text")))
		must(t, syscalls.Fsetxattr(fd, "user.c", nil))
		wantValue("user.a", []byte("other text"))
		wantValue("user.c", nil)
		for _, name := range []string{"user.a", "user.b", "user.c", "user.d", "user.e"} {
			must(t, syscalls.Fremovexattr(fd, name))
		}
		wantXattrs()
	})
}

func TestXattrUnsupported(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		fd := newFile(t, dir, "file", nil)
		_, err := syscalls.Fgetxattr(fd, "nowhere.a")
		wantUnsupported(t, err, "fgetxattr nowhere.a", syscall.EOPNOTSUPP)
		wantUnsupported(t, syscalls.Fsetxattr(fd, "nowhere.a", nil), "fsetxattr nowhere.a", syscall.EOPNOTSUPP)
		wantUnsupported(t, syscalls.Fremovexattr(fd, "nowhere.a"), "fremovexattr nowhere.a", syscall.EOPNOTSUPP)
		if names, err := syscalls.Flistxattr(fd); len(names) != 0 || err != nil {
			t.Errorf("names are %q, %v", names, err)
		}
	})
}

// ACLs are listed as the attributes that store them; trusted attributes are listed for root alone.
//
//promise:syscalls.Flistxattr trusted.* is hidden from ordinary users, except on btrfs
func TestTrustedXattrHiddenFromUser(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		const acl, trusted = "system.posix_acl_default", "trusted.a"
		if !mounttest.IsUserChild() {
			if !mounttest.CanSetTrusted() {
				t.Skip("no CAP_SYS_ADMIN outside of user namespaces")
			}
			must(t, unix.Mkdir(filepath.Join(dir, "dir"), 0o755))
			fd := open(t, filepath.Join(dir, "dir"), unix.O_RDONLY)
			must(t, syscalls.Fsetxattr(fd, acl, defaultACL(7, 5, 0)))
			must(t, syscalls.Fsetxattr(fd, trusted, []byte("secret")))
			wantSeen(t, fd, acl, true)
			wantSeen(t, fd, trusted, true)
		}
		mounttest.AsUser(t, func(t *testing.T) {
			fd := open(t, os.Getenv("TEST_DIR"), unix.O_RDONLY)
			wantSeen(t, fd, acl, true)
			wantSeen(t, fd, trusted, kind.Has(mounttest.ListsTrusted)) // the name only
			_, err := syscalls.Fgetxattr(fd, trusted)
			wantErr(t, err, "fgetxattr "+trusted, syscall.ENODATA)
		}, "TEST_DIR="+filepath.Join(dir, "dir"), quickly)
	})
}

func wantSeen(t *testing.T, fd int, name string, want bool) {
	t.Helper()
	names, err := syscalls.Flistxattr(fd)
	if err != nil || slices.Contains(names, name) != want {
		t.Errorf("names are %q, %v; %s is among them: want %t", names, err, name, want)
	}
}

// A descriptor of OpenPath is as good as any other, under a lease of another process, too. The name
// of the file does not matter. A symbolic link is not followed.
//
//promise:syscalls.Flistxattr a descriptor of OpenPath will do, and meets no lease
//promise:syscalls.Fgetxattr a descriptor of OpenPath will do, and meets no lease
func TestXattrOfPath(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		values := map[string][]byte{
			"user.a": []byte("text"), "user.b": {}, "user.c": noise(2000, 1),
		}
		name := filepath.Join(dir, "file")
		must(t, os.WriteFile(name, nil, 0o600))
		file, err := unix.Open(name, unix.O_RDWR|unix.O_CLOEXEC, 0)
		must(t, err)
		for name, value := range values {
			must(t, syscalls.Fsetxattr(file, name, value))
		}
		must(t, unix.Close(file))
		must(t, unix.Symlink("file", filepath.Join(dir, "link")))
		asked := mounttest.HoldLease(t, name, nil)
		fd, link := openPath(t, dir, "file"), openPath(t, dir, "link")
		must(t, unix.Rename(name, name+"2"))

		names, err := syscalls.Flistxattr(fd)
		slices.Sort(names)
		if err != nil || !slices.Equal(names, []string{"user.a", "user.b", "user.c"}) {
			t.Errorf("names are %q, %v", names, err)
		}
		for name, want := range values {
			if value, err := syscalls.Fgetxattr(fd, name); err != nil || !bytes.Equal(value, want) {
				t.Errorf("%s is %d bytes, %v, want %d", name, len(value), err, len(want))
			}
		}
		_, err = syscalls.Fgetxattr(fd, "user.d")
		wantErr(t, err, "fgetxattr user.d", syscall.ENODATA)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v is not %v", err, fs.ErrNotExist)
		}
		_, err = syscalls.Fgetxattr(fd, "nowhere.a")
		wantUnsupported(t, err, "fgetxattr nowhere.a", syscall.EOPNOTSUPP)
		if names, err := syscalls.Flistxattr(link); len(names) != 0 || err != nil {
			t.Errorf("names of the symbolic link are %q, %v", names, err)
		}
		if n := asked(); n > 0 {
			t.Errorf("the lease was asked for %d times", n)
		}
	})
}

// Without /proc, or without listxattr and getxattr, a descriptor of OpenPath is EBADF. An error
// that is errors.ErrUnsupported would say that the file has no attributes.
//
//promise:syscalls.Flistxattr without /proc, a descriptor of OpenPath is EBADF
//promise:syscalls.Fgetxattr without /proc, a descriptor of OpenPath is EBADF
func TestXattrOfPathWithoutProc(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		file := newFile(t, dir, "file", nil)
		must(t, syscalls.Fsetxattr(file, "user.a", nil))
		fd := openPath(t, dir, "file")
		err := refused(t, refusal{unix.SYS_LISTXATTR, -1, 0, syscall.ENOSYS}, func() error {
			return second(syscalls.Flistxattr(fd))
		})
		wantErr(t, err, "flistxattr", syscall.EBADF)
		err = refused(t, refusal{unix.SYS_GETXATTR, -1, 0, syscall.ENOSYS}, func() error {
			return second(syscalls.Fgetxattr(fd, "user.a"))
		})
		wantErr(t, err, "fgetxattr user.a", syscall.EBADF)
		mounttest.OnThread(t, func() error {
			if err := mounttest.HideProc(); err != nil {
				return err
			}
			_, err := syscalls.Flistxattr(fd)
			wantErr(t, err, "flistxattr", syscall.EBADF)
			_, err = syscalls.Fgetxattr(fd, "user.a")
			wantErr(t, err, "fgetxattr user.a", syscall.EBADF)
			if names, err := syscalls.Flistxattr(file); len(names) != 1 || err != nil {
				t.Errorf("names are %q, %v", names, err)
			}
			return nil
		})
	})
}
