package syscalls_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// linkedByEmptyPath is the first way of Linkat alone.
func linkedByEmptyPath(fd, dirfd int, name string) error {
	return unix.Linkat(fd, "", dirfd, name, unix.AT_EMPTY_PATH)
}

// A process that changed its user has files that the kernel takes for another's: only
// /proc/self/fd leads to them.
//
//promise:syscalls.Linkat a process that changed its user links by /proc/self/fd
func TestLinkatAsAnotherUser(t *testing.T) {
	mounttest.Need(t, "CAP_SETUID")
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		must(t, os.Chmod(dir, 0o777))
		dirfd := openDir(t, dir)
		fd := tmpfile(t, dirfd, 0)
		must(t, unix.Fchmod(fd, 0o666)) // else fs.protected_hardlinks forbids
		excl, err := syscalls.TmpfileExcl(dirfd, 0o666)
		must(t, unix.Fchmod(opened(t, excl, err), 0o666))
		mounttest.OnThread(t, func() error {
			if err := mounttest.Become(65534, 65534); err != nil {
				return err
			}
			if err := linkedByEmptyPath(fd, dirfd, "name"); !errors.Is(err, unix.ENOENT) {
				return fmt.Errorf("AT_EMPTY_PATH: %v, want ENOENT: nothing is tested", err) //nolint:errorlint // it may be nil
			}
			if err := syscalls.Linkat(fd, dirfd, "name"); err != nil {
				return err
			}
			if err := syscalls.Linkat(fd, dirfd, "name"); !errors.Is(err, syscall.EEXIST) {
				return fmt.Errorf("linked twice: %v", err) //nolint:errorlint // it may be nil
			}
			if err := syscalls.Linkat(excl, dirfd, "excl"); !errors.Is(err, syscall.ENOENT) {
				return fmt.Errorf("linked what cannot be: %v", err) //nolint:errorlint // it may be nil
			}
			return nil
		})
		wantNames(t, dir, "name")
	})
}

// Even without another user the kernel takes them for another's: it compares where the
// credentials lie in memory.
func TestLinkatAfterCredentialsChange(t *testing.T) {
	dir := mounttest.Dir(t, mounttest.Host)
	asUser(t, func(t *testing.T) {
		dirfd := openDir(t, dir)
		fd := tmpfile(t, dirfd, 0o600)
		mounttest.OnThread(t, func() error {
			if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
				return err
			}
			if err := linkedByEmptyPath(fd, dirfd, "name"); !errors.Is(err, unix.ENOENT) {
				return fmt.Errorf("AT_EMPTY_PATH: %v, want ENOENT: nothing is tested", err) //nolint:errorlint // it may be nil
			}
			return syscalls.Linkat(fd, dirfd, "name")
		})
		wantNames(t, dir, "name")
	})
}

// asUser is mounttest.AsUser for tests that need nothing of root's.
func asUser(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if !mounttest.Can("CAP_SETUID") && !mounttest.IsUserChild() {
		f(t)
		return
	}
	mounttest.AsUser(t, f, quickly)
}

// An ordinary user of a recent kernel needs nothing else.
func TestLinkatAsOrdinaryUser(t *testing.T) {
	dir := mounttest.Dir(t, mounttest.Host)
	asUser(t, func(t *testing.T) {
		dirfd := openDir(t, dir)
		fd := tmpfile(t, dirfd, 0)
		must(t, syscalls.Linkat(fd, dirfd, "name"))
		wantNames(t, dir, "name")
	})
}

// Where the kernel or a sandbox refuses the first way, the second is taken; a failure that says
// something about the file stays.
//
//promise:syscalls.Linkat if the kernel refuses AT_EMPTY_PATH, Linkat uses /proc/self/fd
func TestLinkatRefused(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		dirfd := openDir(t, dir)
		for _, test := range []struct {
			errno  syscall.Errno
			goesOn bool
		}{
			{syscall.ENOENT, true}, {syscall.EINVAL, true}, {syscall.EPERM, true},
			{syscall.EEXIST, false}, {syscall.EIO, false}, {syscall.ENOSPC, false}, {syscall.EXDEV, false},
		} {
			fd, name := tmpfile(t, dirfd, 0), test.errno.Error()
			err := refused(t, refusal{unix.SYS_LINKAT, 4, unix.AT_EMPTY_PATH, test.errno}, func() error { return syscalls.Linkat(fd, dirfd, name) })
			if !test.goesOn {
				wantErr(t, err, "linkat", test.errno)
			} else if err != nil {
				t.Errorf("the first way gives %v: %v", test.errno, err)
			}
			if links := stat(t, fd).Nlink; (links == 1) != test.goesOn {
				t.Errorf("the first way gives %v: %d links", test.errno, links)
			}
		}
	})
}

// Without /proc, Reopen returns ErrUnsupported, and Linkat uses AT_EMPTY_PATH.
func TestReopenAndLinkatWithoutProc(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Host)
	dirfd := openDir(t, dir)
	fd, path := tmpfile(t, dirfd, 0), openPath(t, filepath.Dir(dir), filepath.Base(dir))
	excl, err := syscalls.TmpfileExcl(dirfd, 0)
	opened(t, excl, err)
	var reopen, fdPath, link, linkExcl, neither error
	mounttest.OnThread(t, func() error {
		err := mounttest.HideProc()
		reopen = descriptor(syscalls.Reopen(path))
		fdPath = second(syscalls.FDPath(path))
		link = syscalls.Linkat(fd, dirfd, "name")
		linkExcl = syscalls.Linkat(excl, dirfd, "excl")
		err = errors.Join(err, mounttest.RefuseIf(unix.SYS_LINKAT, 4, unix.AT_EMPTY_PATH, syscall.EPERM))
		neither = syscalls.Linkat(fd, dirfd, "second")
		return err
	})
	if _, ok := reopen.(*os.SyscallError); !ok || !errors.Is(reopen, errors.ErrUnsupported) || errors.Is(reopen, fs.ErrNotExist) { //nolint:errorlint // the outermost names the call
		t.Errorf("Reopen: %v (%T), want one that is unsupported, and no file missing", reopen, reopen)
	}
	wantErr(t, fdPath, "readlink", syscall.ENOENT)
	wantErr(t, linkExcl, "linkat", syscall.ENOENT)
	wantErr(t, neither, "linkat", syscall.EPERM) // the reason why the first way failed, not the second
	must(t, link)
	wantNames(t, dir, "name")
}
