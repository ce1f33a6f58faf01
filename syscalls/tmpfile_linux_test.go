package syscalls_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var _ = describe(
	call{
		function: "Tmpfile", name: "openat O_TMPFILE", number: unix.SYS_OPENAT,
		do:          func(f *files) error { return descriptor(syscalls.Tmpfile(f.dir(), 0)) },
		unsupported: errnos{syscall.EISDIR},
		failures:    errnos{syscall.EACCES, syscall.EPERM},
	},
	call{
		function: "TmpfileExcl", name: "openat O_TMPFILE", number: unix.SYS_OPENAT,
		do:          func(f *files) error { return descriptor(syscalls.TmpfileExcl(f.dir(), 0)) },
		unsupported: errnos{syscall.EISDIR},
		failures:    errnos{syscall.EACCES, syscall.EPERM},
	},
	call{
		function: "TmpfileExclAt", name: "openat O_TMPFILE", number: unix.SYS_OPENAT,
		do:          func(f *files) error { return descriptor(syscalls.TmpfileExclAt(f.dir(), ".", 0)) },
		unsupported: errnos{syscall.EISDIR},
		failures:    errnos{syscall.EACCES, syscall.EPERM},
	},
	call{
		function: "Linkat", name: "linkat", number: unix.SYS_LINKAT,
		do:       func(f *files) error { return syscalls.Linkat(f.file(), f.dir(), "x") },
		failures: errnos{syscall.EEXIST, syscall.EACCES, syscall.EXDEV},
	},
)

//promise:syscalls.TmpfileExclAt the file is made in the directory that has the name
func TestTmpfile(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		dirfd := openDir(t, dir)
		for name, make := range map[string]func(int, uint32) (int, error){
			"Tmpfile": syscalls.Tmpfile, "TmpfileExcl": syscalls.TmpfileExcl,
			"TmpfileExclAt": func(fd int, perm uint32) (int, error) {
				return syscalls.TmpfileExclAt(syscalls.AtFdcwd, dir, perm)
			},
		} {
			t.Run(name, func(t *testing.T) {
				fd, err := make(dirfd, 0) // not even a permission of one's own hinders
				opened(t, fd, err)
				st := stat(t, fd)
				if st.Nlink != 0 || st.Size != 0 || st.Mode != unix.S_IFREG || st.Dev != stat(t, dirfd).Dev {
					t.Errorf("%+v, want an empty file in the filesystem of the directory without links", st)
				}
				data := noise(10000, 1)
				write(t, fd, data, 0)
				wantContents(t, fd, data)
				wantNames(t, dir)
			})
		}
		newFile(t, dir, "file", nil)
		_, err := syscalls.Tmpfile(openPath(t, dir, "file"), 0o600)
		wantErr(t, err, "openat O_TMPFILE", syscall.ENOTDIR)
		wantNames(t, dir, "file")
	})
}

func TestTmpfileUnsupported(t *testing.T) {
	if unix.Access("/sys", unix.W_OK) != nil {
		t.Skip("/sys cannot be written to")
	}
	mounttest.Leaks(t)
	err := descriptor(syscalls.Tmpfile(openDir(t, "/sys"), 0o600))
	wantUnsupported(t, err, "openat O_TMPFILE", syscall.EOPNOTSUPP)
}

// The filesystem frees the file after the last descriptor and the last mapping are closed.
//
//promise:syscalls.Tmpfile the file has no name and goes with its last descriptor and mapping
func TestTmpfileIsFreed(t *testing.T) {
	for _, kind := range mounttest.Kinds(mounttest.Known) {
		t.Run(kind.String(), func(t *testing.T) {
			mounttest.Leaks(t)
			dir := kind.Fresh(t, 0)
			dirfd := openDir(t, dir)
			inodes := func() uint64 {
				t.Helper()
				var st unix.Statfs_t
				must(t, unix.Fstatfs(dirfd, &st))
				return st.Files - st.Ffree
			}
			before := inodes()
			if before == 0 {
				t.Skip("this filesystem counts no inodes")
			}
			fd, err := syscalls.Tmpfile(dirfd, 0o600)
			must(t, err)
			write(t, fd, noise(page, 1), 0)
			b := mmap(t, fd, page, true)
			must(t, syscalls.Close(fd))
			if n := inodes() - before; n != 1 {
				t.Errorf("%d more inodes in use while it is mapped, want 1", n)
			}
			must(t, syscalls.MapNone(b))
			for range 3000 { // XFS frees it in the background
				if inodes() == before {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if n := inodes() - before; n != 0 {
				t.Errorf("%d more inodes in use than before", n)
			}
		})
	}
}

//promise:syscalls.Linkat Linkat never replaces a name
//promise:syscalls.TmpfileExcl the file can never get a name
func TestLinkat(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		dirfd := openDir(t, dir)
		data := noise(10000, 1)
		fd := tmpfile(t, dirfd, 0o600)
		write(t, fd, data, 0)
		other := newFile(t, dir, "taken", data[:10])
		check := unchanged(t, other)

		wantErr(t, syscalls.Linkat(fd, dirfd, "taken"), "linkat", syscall.EEXIST)
		wantErr(t, syscalls.Linkat(fd, dirfd, "."), "linkat", syscall.EEXIST)
		wantNames(t, dir, "taken")
		check()
		must(t, syscalls.Linkat(fd, dirfd, "name"))
		named := open(t, filepath.Join(dir, "name"), unix.O_RDWR)
		if a, b := stat(t, named), stat(t, fd); a.Ino != b.Ino || a.Nlink != 1 {
			t.Errorf("inode %d with %d links has the name, want inode %d with 1", a.Ino, a.Nlink, b.Ino)
		}
		wantContents(t, named, data)
		must(t, syscalls.Linkat(fd, dirfd, "second"))
		wantNames(t, dir, "name", "second", "taken")

		// A name that was lost cannot be had again.
		must(t, syscalls.Unlinkat(dirfd, "name"))
		must(t, syscalls.Unlinkat(dirfd, "second"))
		wantErr(t, syscalls.Linkat(fd, dirfd, "third"), "linkat", syscall.ENOENT)
		excl, err := syscalls.TmpfileExcl(dirfd, 0o600)
		wantErr(t, syscalls.Linkat(opened(t, excl, err), dirfd, "fourth"), "linkat", syscall.ENOENT)
		wantNames(t, dir, "taken")
	})
}

//promise:syscalls.Tmpfile umask and default ACL of the directory apply
func TestTmpfilePerm(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		defer unix.Umask(unix.Umask(0o027))
		dirfd := openDir(t, dir)
		want := func(fd int, want uint32) {
			t.Helper()
			if got := stat(t, fd).Mode & 0o7777; got != want {
				t.Errorf("mode %#o, want %#o", got, want)
			}
		}
		for perm, mode := range map[uint32]uint32{0: 0, 0o666: 0o640, 0o777: 0o750, 0o600: 0o600} {
			want(tmpfile(t, dirfd, perm), mode)
			fd, err := syscalls.TmpfileExcl(dirfd, perm)
			want(opened(t, fd, err), mode)
		}
		// Where the directory says what files get, the umask does not.
		acl := defaultACL(7, 6, 4)
		if err := unix.Setxattr(dir, "system.posix_acl_default", acl, 0); err != nil {
			t.Fatalf("default ACL: %v", err)
		}
		want(tmpfile(t, dirfd, 0o666), 0o664)
		want(tmpfile(t, dirfd, 0o600), 0o600)
	})
}

// A name on another filesystem is none for this file.
func TestLinkatAcrossFilesystems(t *testing.T) {
	mounttest.Leaks(t)
	fd := tmpfile(t, openDir(t, mounttest.Dir(t, mounttest.Disk|mounttest.NoReflinks)), 0o600)
	to := mounttest.Dir(t, mounttest.Memory)
	wantErrno(t, syscalls.Linkat(fd, openDir(t, to), "name"), "linkat", syscall.EXDEV)
	if _, err := os.Stat(filepath.Join(to, "name")); err == nil {
		t.Errorf("the name was made")
	}
}
