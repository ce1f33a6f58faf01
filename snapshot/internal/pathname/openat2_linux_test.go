package pathname

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// EAGAIN of openat2 is retried. If it does not end, the name is followed by hand.
func TestOpenat2Again(t *testing.T) {
	fd, err := sys.OpenPathBeneath(syscalls.AtFdcwd, ".")
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	_ = syscalls.Close(fd)
	for failures, wantWalks := range map[int]int{0: 0, 1: 0, retry.Attempts - 1: 0, 1 << 30: 1} {
		calls, walks := 0, 0
		_, root := newRoot(t)
		s, done, err := startAt(root)
		if err != nil {
			t.Fatal(err)
		}
		undo := systest.Intercept(t, func(call string) error {
			switch call {
			case "openat2":
				if calls++; calls <= failures {
					return os.NewSyscallError("openat2", syscall.EAGAIN)
				}
			case "opendir":
				walks++
			}
			return nil
		})
		fd, err := s.openBeneath("sub/file") // without "..", the kernel has no EAGAIN of its own
		undo()
		done()
		if err != nil {
			t.Fatal(err)
		}
		_ = syscalls.Close(fd)
		if want := min(failures+1, retry.Attempts); calls != want || walks != wantWalks {
			t.Errorf("%d failures: %d calls, %d walks, want %d, %d",
				failures, calls, walks, want, wantWalks)
		}
	}
}

// A seccomp filter that returns EPERM is a kernel without openat2. Another error is returned as it
// is.
func TestOpenat2Refused(t *testing.T) {
	mounttest.Leaks(t)
	_, root := newRoot(t)
	s, done, err := startAt(root)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	mounttest.OnThread(t, func() error {
		if err := mounttest.Refuse(unix.SYS_OPENAT2, syscall.EPERM); err != nil {
			return err
		}
		fd, err := s.openBeneath("sub/up")
		if err == nil {
			err = syscalls.Close(fd)
		}
		return err
	})
	// ELOOP: a filesystem that is mounted with nosymfollow.
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ELOOP, syscall.EACCES} {
		failOpenat2(t, func(int) error { return errno })
		if fd, err := s.openBeneath("sub/up"); !errors.Is(err, errno) {
			t.Errorf("descriptor %d, error %v, want %v", fd, err, errno)
		}
	}
}

// By hand, a name keeps a bounded number of descriptors open.
func TestWalkDepth(t *testing.T) {
	mounttest.Leaks(t)
	failOpenat2(t, func(int) error { return syscall.ENOSYS })
	dir := t.TempDir()
	deep := strings.Repeat("d/", maxDepth+5)
	at, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	if err := at.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	s, done, err := startAt(at)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	for depth, want := range map[int]error{maxDepth: nil, maxDepth + 1: syscall.ENAMETOOLONG} {
		fd, err := s.openBeneath(strings.Repeat("d/", depth))
		if !errors.Is(err, want) {
			t.Errorf("depth %d: %v, want %v", depth, err, want)
		}
		if err == nil {
			_ = syscalls.Close(fd)
		}
	}
}

// By hand, ".." leads to where the name came from, also if the directory was moved out of the root
// meanwhile.
func TestWalkFromMovedDirectory(t *testing.T) {
	mounttest.Leaks(t)
	dir, root := newRoot(t)
	if err := os.Mkdir(filepath.Join(dir, "gone"), 0o755); err != nil {
		t.Fatal(err)
	}
	makeFile(t, filepath.Join(dir, "file"))
	from, to := filepath.Join(dir, "root/sub/deep"), filepath.Join(dir, "gone/deep")
	moved := 0
	systest.Intercept(t, func(call string) error {
		switch {
		case call == "openat2":
			return syscall.ENOSYS
		case call == "openpath":
			// Before the component after "deep".
			if moved++; moved == 3 {
				return os.Rename(from, to)
			}
		}
		return nil
	})
	s, done, err := startAt(root)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	fd, err := s.openBeneath("sub/deep/../../file")
	if err != nil {
		t.Fatal(err)
	}
	defer syscalls.Close(fd)
	got, err := sys.Fstat(fd)
	want, wantErr := os.Stat(filepath.Join(dir, "root/file"))
	if err != nil || wantErr != nil || got.Ino != want.Sys().(*syscall.Stat_t).Ino || moved < 3 {
		t.Errorf("opened %+v: %v, %v", got, err, wantErr)
	}
}

// By hand, a symbolic link of another user in a sticky directory is followed where proc(5) says so,
// and where the kernel follows it.
func TestProtectedLinks(t *testing.T) {
	mounttest.Need(t, "CAP_CHOWN", "CAP_FOWNER")
	mounttest.Leaks(t)
	dir, root := newRoot(t)
	real := protectedSymlinks
	defer func() { protectedSymlinks = real }()
	text, err := os.ReadFile(real)
	kernelProtects := err == nil && strings.TrimSpace(string(text)) == "1"
	at := filepath.Join(dir, "root/sub")
	me := os.Geteuid()
	for _, c := range []struct {
		mode            fs.FileMode
		link, directory int // owners
		refused         bool
	}{
		{0o777 | fs.ModeSticky, 1234, me, true},
		{0o777 | fs.ModeSticky, 1234, 4321, true},
		{0o777 | fs.ModeSticky, 1234, 1234, false},
		{0o777 | fs.ModeSticky, me, 1234, false},
		{0o775 | fs.ModeSticky, 1234, me, false},
		{0o755 | fs.ModeSticky, 1234, me, false},
		{0o777, 1234, me, false},
	} {
		err := errors.Join(os.Chown(at, c.directory, -1), os.Chmod(at, c.mode),
			os.Lchown(filepath.Join(at, "up"), c.link, -1))
		if err != nil {
			t.Fatal(err)
		}
		check := func(way string, refused bool) {
			t.Helper()
			p, err := Resolve(root, "sub/up", false)
			if err == nil {
				p.Close()
			}
			if refused && !errors.Is(err, syscall.EACCES) || !refused && err != nil {
				t.Errorf("%s: %+v: %v", way, c, err)
			}
		}
		check("openat2", c.refused && kernelProtects)
		undo := systest.Intercept(t, func(call string) error {
			if call == "openat2" {
				return syscall.ENOSYS
			}
			return nil
		})
		check("by hand", c.refused && kernelProtects)
		for text, protects := range map[string]bool{"0\n": false, "1\n": true, "": true} {
			protectedSymlinks = filepath.Join(t.TempDir(), "protected")
			if text != "" { // else, as where /proc is missing, it cannot be read
				if err := os.WriteFile(protectedSymlinks, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			check("by hand, "+text, c.refused && protects)
		}
		protectedSymlinks = real
		undo()
	}
}

// On a filesystem that is mounted with nosymfollow, no link is followed below a root either, with
// openat2, without it, and if renames disturb it each time. No file can be made through a link
// whose target is missing.
func TestNoSymfollow(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	mounttest.Leaks(t)
	dir := t.TempDir()
	mounttest.OnThread(t, func() error {
		if err := mounttest.OwnMounts(); err != nil {
			return err
		}
		const again = unix.MS_BIND | unix.MS_REMOUNT | unix.MS_NOSYMFOLLOW
		if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
			return err
		}
		if err := unix.Mount("", dir, "", again, ""); err != nil {
			return err
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			return err
		}
		defer root.Close()
		if err := root.Mkdir("sub", 0o755); err != nil {
			return err
		}
		makeFile(t, filepath.Join(dir, "sub/file"))
		for link, target := range map[string]string{
			"link": "sub/file", "dangling": "sub/new", "dirlink": "sub", "dirdangling": "new",
		} {
			if err := root.Symlink(target, link); err != nil {
				return err
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "link")); !errors.Is(err, syscall.ELOOP) {
			t.Logf("nothing is tested before Linux 5.10: %v", err)
			return nil
		}
		for _, errno := range []error{nil, syscall.ENOSYS, syscall.EAGAIN} {
			failOpenat2(t, func(int) error { return errno })
			for _, name := range []string{"link", "dangling", "dirlink/file", "dirdangling/new"} {
				for _, create := range []bool{false, true} {
					if p, err := Resolve(root, name, create); !errors.Is(err, syscall.ELOOP) {
						t.Errorf("%v: %s, create %v: %v, %v", errno, name, create, p, err)
					}
				}
			}
		}
		return nil
	})
}
