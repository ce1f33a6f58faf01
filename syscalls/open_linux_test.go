package syscalls_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var _ = describe(
	call{
		function: "OpenPath", name: "openat", number: unix.SYS_OPENAT,
		do:       func(f *files) error { return descriptor(syscalls.OpenPath(f.dir(), "x")) },
		failures: errnos{syscall.EACCES, syscall.EINVAL, syscall.ELOOP},
	},
	call{
		function: "OpenPathFollow", name: "openat", number: unix.SYS_OPENAT,
		do:       func(f *files) error { return descriptor(syscalls.OpenPathFollow(f.dir(), "x")) },
		failures: errnos{syscall.EACCES, syscall.EINVAL, syscall.ELOOP},
	},
	call{
		function: "OpenPathBeneath", name: "openat2", number: unix.SYS_OPENAT2,
		do:          func(f *files) error { return descriptor(syscalls.OpenPathBeneath(f.dir(), "x")) },
		unsupported: errnos{syscall.EPERM},
		failures:    errnos{syscall.EACCES, syscall.EAGAIN, syscall.ELOOP, syscall.EXDEV},
		needs:       "openat2",
	},
	call{
		function: "OpenDirBeneath", name: "openat2", number: unix.SYS_OPENAT2,
		do:          func(f *files) error { return descriptor(syscalls.OpenDirBeneath(f.dir(), ".")) },
		unsupported: errnos{syscall.EPERM},
		failures:    errnos{syscall.EACCES, syscall.EAGAIN, syscall.ELOOP, syscall.EXDEV, syscall.ENOTDIR},
		needs:       "openat2",
	},
	call{
		function: "OpenDir", name: "openat", number: unix.SYS_OPENAT,
		do:       func(f *files) error { return descriptor(syscalls.OpenDir(f.dir(), "x")) },
		failures: errnos{syscall.EACCES, syscall.EINVAL, syscall.ENOTDIR},
	},
	call{
		function: "OpenRead", name: "openat", number: unix.SYS_OPENAT,
		do:       func(f *files) error { return descriptor(syscalls.OpenRead(f.dir(), "x")) },
		failures: errnos{syscall.EACCES, syscall.EINVAL, syscall.ELOOP},
	},
	call{
		function: "OpenReadWrite", name: "openat", number: unix.SYS_OPENAT,
		do:       func(f *files) error { return descriptor(syscalls.OpenReadWrite(f.dir(), "x")) },
		failures: errnos{syscall.EACCES, syscall.EINVAL, syscall.ELOOP},
	},
	call{
		function: "Reopen", name: "openat", number: unix.SYS_OPENAT,
		do:       func(f *files) error { return descriptor(syscalls.Reopen(f.file())) },
		failures: errnos{syscall.EACCES, syscall.EINVAL, syscall.EPERM},
	},
	call{
		function: "ReopenReadWrite", name: "openat", number: unix.SYS_OPENAT,
		do:       func(f *files) error { return descriptor(syscalls.ReopenReadWrite(f.file())) },
		failures: errnos{syscall.EACCES, syscall.EINVAL, syscall.EPERM},
	},
	call{
		function: "ReopenDir", name: "openat", number: unix.SYS_OPENAT,
		do:       func(f *files) error { return descriptor(syscalls.ReopenDir(f.dir())) },
		failures: errnos{syscall.EACCES, syscall.EINVAL},
	},
	call{
		function: "CreateExcl", name: "openat O_EXCL", number: unix.SYS_OPENAT,
		do:       func(f *files) error { return descriptor(syscalls.CreateExcl(f.dir(), "x", 0)) },
		failures: errnos{syscall.EEXIST, syscall.EACCES, syscall.EISDIR, syscall.EINVAL},
	},
)

//promise:syscalls.OpenPath OpenPath opens files of every type without access to their contents
func TestOpenPath(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		newFile(t, dir, "file", nil)
		must(t, unix.Mkdir(filepath.Join(dir, "dir"), 0o700))
		must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600)) // nobody writes to it: an open for reading hangs
		must(t, unix.Symlink("nowhere", filepath.Join(dir, "link")))
		for name, kind := range map[string]uint32{
			"file": unix.S_IFREG, "dir": unix.S_IFDIR, "fifo": unix.S_IFIFO, "link": unix.S_IFLNK,
		} {
			fd := openPath(t, dir, name)
			if st := stat(t, fd); st.Mode&unix.S_IFMT != kind {
				t.Errorf("%s: opened a file of mode %#o", name, st.Mode)
			}
			_, err := syscalls.Pread(fd, make([]byte, 10), 0)
			wantErr(t, err, "pread", syscall.EBADF) // for being looked at only
		}
		_, err := syscalls.OpenPath(openDir(t, dir), "none")
		wantErr(t, err, "openat", syscall.ENOENT)
	})
}

// OpenPathFollow opens the target of a symbolic link, and a file that is no link.
//
//promise:syscalls.OpenPathFollow OpenPathFollow opens the target of a symbolic link
func TestOpenPathFollow(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		want := stat(t, newFile(t, dir, "file", nil)).Ino
		must(t, unix.Symlink("file", filepath.Join(dir, "link")))
		must(t, unix.Symlink("nowhere", filepath.Join(dir, "dangling")))
		dirfd := openDir(t, dir)
		for _, name := range []string{"file", "link"} {
			fd, err := syscalls.OpenPathFollow(dirfd, name)
			if got := stat(t, opened(t, fd, err)).Ino; got != want {
				t.Errorf("%s: inode %d, want %d", name, got, want)
			}
			_, err = syscalls.Pread(fd, make([]byte, 10), 0)
			wantErr(t, err, "pread", syscall.EBADF)
		}
		_, err := syscalls.OpenPathFollow(dirfd, "dangling")
		wantErr(t, err, "openat", syscall.ENOENT)
	})
}

// openPathBeneath repeats OpenPathBeneath while renames by other processes disturb it.
func openPathBeneath(dirfd int, name string) (fd int, err error) {
	for i := 0; i == 0 || errors.Is(err, syscall.EAGAIN) && i < 10_000; i++ {
		fd, err = syscalls.OpenPathBeneath(dirfd, name)
	}
	return fd, err
}

// OpenPathBeneath follows links and ".." inside the directory, and nothing that leads out of it.
//
//promise:syscalls.OpenPathBeneath a symbolic link or ".." that leads out of the directory is EXDEV
//promise:syscalls.OpenPathBeneath the error is EXDEV for an absolute name
//promise:syscalls.OpenPathBeneath a name that ends with a slash leads to a directory only
func TestOpenPathBeneath(t *testing.T) {
	needCall(t, "openat2")
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		newFile(t, dir, "outside", nil)
		root := filepath.Join(dir, "root")
		must(t, unix.Mkdir(root, 0o700))
		must(t, unix.Mkdir(filepath.Join(root, "sub"), 0o700))
		want := stat(t, newFile(t, root, "file", nil)).Ino
		for link, target := range map[string]string{
			"link": "file", "sub/up": "../file", "out": "../outside", "sub/out": "../../outside",
			"absolute": filepath.Join(root, "file"), "dangling": "nowhere", "loop": "loop",
		} {
			must(t, unix.Symlink(target, filepath.Join(root, link)))
		}
		dirfd := openDir(t, root)
		for _, name := range []string{"file", "./file", "link", "sub/up", "sub/../file"} {
			fd, err := openPathBeneath(dirfd, name)
			if got := stat(t, opened(t, fd, err)).Ino; got != want {
				t.Errorf("%s: inode %d, want %d", name, got, want)
			}
			_, err = syscalls.Pread(fd, make([]byte, 10), 0)
			wantErr(t, err, "pread", syscall.EBADF) // for being looked at only
		}
		for name, errno := range map[string]syscall.Errno{
			"..": syscall.EXDEV, "../root/file": syscall.EXDEV, "sub/../../outside": syscall.EXDEV,
			"out": syscall.EXDEV, "sub/out": syscall.EXDEV, "absolute": syscall.EXDEV,
			root + "/file": syscall.EXDEV, "/": syscall.EXDEV,
			"dangling": syscall.ENOENT, "loop": syscall.ELOOP,
			"file/": syscall.ENOTDIR, "link/": syscall.ENOTDIR,
		} {
			fd, err := openPathBeneath(dirfd, name)
			wantErr(t, err, "openat2", errno)
			if fd != -1 {
				t.Errorf("%s: descriptor %d beside an error", name, fd)
			}
		}
		fd, err := openPathBeneath(dirfd, "sub/")
		opened(t, fd, err)
	})
}

//promise:syscalls.OpenPathBeneath the error is ELOOP for a link of /proc that is not a name
func TestOpenPathBeneathProc(t *testing.T) {
	needCall(t, "openat2")
	fd, err := openPathBeneath(openDir(t, "/proc/self"), "cwd")
	wantErr(t, err, "openat2", syscall.ELOOP)
	if fd != -1 {
		t.Errorf("descriptor %d beside an error", fd)
	}
}

//promise:syscalls.OpenDirBeneath the directory can be read, and one outside is EXDEV
func TestOpenDirBeneath(t *testing.T) {
	needCall(t, "openat2")
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		root := filepath.Join(dir, "root")
		must(t, os.MkdirAll(filepath.Join(root, "sub"), 0o700))
		newFile(t, root, "file", nil)
		must(t, unix.Symlink("sub", filepath.Join(root, "link")))
		must(t, unix.Symlink(dir, filepath.Join(root, "out")))
		dirfd := openDir(t, root)
		for _, name := range []string{"sub", "link", "sub/"} {
			fd, err := syscalls.OpenDirBeneath(dirfd, name)
			_, err = unix.ReadDirent(opened(t, fd, err), make([]byte, 1000))
			must(t, err)
		}
		for name, errno := range map[string]syscall.Errno{
			"..": syscall.EXDEV, "out": syscall.EXDEV, dir: syscall.EXDEV,
			"file": syscall.ENOTDIR, "none": syscall.ENOENT,
		} {
			fd, err := syscalls.OpenDirBeneath(dirfd, name)
			wantErr(t, err, "openat2", errno)
			if fd != -1 {
				t.Errorf("%s: descriptor %d beside an error", name, fd)
			}
		}
	})
}

//promise:syscalls.OpenDir OpenDir opens a directory, through symbolic links too, and no other file
//promise:syscalls.ReopenDir ReopenDir opens the directory for Fsync and TryFlock
func TestOpenDir(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		newFile(t, dir, "file", nil)
		must(t, unix.Symlink(dir, filepath.Join(dir, "link")))
		dirfd := openDir(t, dir)
		again, err := syscalls.OpenDir(dirfd, "link")
		if st := stat(t, opened(t, again, err)); st.Ino != stat(t, dirfd).Ino {
			t.Errorf("the link leads to inode %d, want that of %s", st.Ino, dir)
		}
		fd, err := syscalls.OpenDir(dirfd, "file")
		wantErr(t, err, "openat", syscall.ENOTDIR)
		if fd != -1 {
			t.Errorf("descriptor %d beside an error", fd)
		}
		// A starting point, and no more.
		wantErr(t, syscalls.Fsync(dirfd), "fsync", syscall.EBADF)
		wantErr(t, syscalls.TryFlock(dirfd), "flock", syscall.EBADF)
		fd, err = syscalls.ReopenDir(dirfd)
		opened(t, fd, err)
		must(t, syscalls.Fsync(fd))
		must(t, syscalls.TryFlock(fd))
	})
}

//promise:syscalls.Reopen Reopen opens the file behind a descriptor for reads, whatever its name is
func TestReopen(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data := noise(100, 1)
		newFile(t, dir, "file", data)
		path := openPath(t, dir, "file")
		must(t, unix.Unlink(filepath.Join(dir, "file"))) // it is the file that counts, not the name
		fd, err := syscalls.Reopen(path)
		wantContents(t, opened(t, fd, err), data)
		if n, err := unix.Pwrite(fd, data, 0); err != unix.EBADF {
			t.Errorf("wrote %d bytes, error %v: opened for more than reading", n, err)
		}
		must(t, unix.Symlink("nowhere", filepath.Join(dir, "link")))
		_, err = syscalls.Reopen(openPath(t, dir, "link"))
		wantErr(t, err, "openat", syscall.ELOOP)
	})
}

//promise:syscalls.ReopenReadWrite ReopenReadWrite opens an unlinked file for reads and writes
func TestReopenReadWrite(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data := noise(100, 1)
		newFile(t, dir, "file", data)
		path := openPath(t, dir, "file")
		must(t, unix.Unlink(filepath.Join(dir, "file")))
		fd, err := syscalls.ReopenReadWrite(path)
		wantContents(t, opened(t, fd, err), data)
		write(t, fd, []byte("text"), 50)
		wantContents(t, fd, data[:50], []byte("text"), data[54:])
		must(t, unix.Mkdir(filepath.Join(dir, "dir"), 0o700))
		err = descriptor(syscalls.ReopenReadWrite(openPath(t, dir, "dir")))
		wantErr(t, err, "openat", syscall.EISDIR)
	})
}

//promise:syscalls.CreateExcl a name that exists, even as a symbolic link, is EEXIST
func TestCreateExcl(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		defer unix.Umask(unix.Umask(0o027))
		dirfd := openDir(t, dir)
		fd, err := syscalls.CreateExcl(dirfd, "new", 0o666)
		opened(t, fd, err)
		if st := stat(t, fd); st.Mode != unix.S_IFREG|0o640 || st.Size != 0 || st.Nlink != 1 {
			t.Errorf("%+v, want an empty file of mode 0640", st)
		}
		write(t, fd, []byte("data"), 0)
		wantContents(t, fd, []byte("data"))
		must(t, unix.Symlink("nowhere", filepath.Join(dir, "link")))
		for _, name := range []string{"new", "link"} {
			_, err := syscalls.CreateExcl(dirfd, name, 0o666)
			wantErr(t, err, "openat O_EXCL", syscall.EEXIST)
		}
		wantNames(t, dir, "link", "new")
	})
}

// OpenRead opens what can be read at once, and never waits.
//
//promise:syscalls.OpenRead OpenRead never blocks and follows no symbolic link
func TestOpenRead(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data := noise(page, 1)
		holder := newFile(t, dir, "file", data)
		dirfd := openDir(t, dir)
		fd, err := syscalls.OpenRead(dirfd, "file")
		must(t, err)
		wantContents(t, fd, data)
		must(t, unix.Close(fd))
		must(t, unix.Symlink("file", filepath.Join(dir, "link")))
		_, err = syscalls.OpenRead(dirfd, "link")
		wantErr(t, err, "openat", syscall.ELOOP)
		_, err = syscalls.OpenRead(dirfd, "missing")
		wantErr(t, err, "openat", syscall.ENOENT)
		must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
		fd, err = syscalls.OpenRead(dirfd, "fifo") // nobody writes to it
		must(t, err)
		must(t, unix.Close(fd))
		_, err = unix.FcntlInt(uintptr(holder), unix.F_SETSIG, int(unix.SIGURG))
		must(t, err)
		_, err = unix.FcntlInt(uintptr(holder), unix.F_SETLEASE, unix.F_WRLCK)
		must(t, err)
		_, err = syscalls.OpenRead(dirfd, "file")
		wantErr(t, err, "openat", syscall.EAGAIN)
	})
}

// OpenReadWrite follows no link, and does not wait for a lease.
//
//promise:syscalls.OpenReadWrite OpenReadWrite waits for no lease and follows no symbolic link
func TestOpenReadWrite(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		holder := newFile(t, dir, "file", noise(page, 1))
		dirfd := openDir(t, dir)
		fd, err := syscalls.OpenReadWrite(dirfd, "file")
		must(t, err)
		write(t, fd, noise(page, 2), 0)
		wantContents(t, fd, noise(page, 2))
		must(t, unix.Close(fd))
		must(t, unix.Symlink("file", filepath.Join(dir, "link")))
		_, err = syscalls.OpenReadWrite(dirfd, "link")
		wantErr(t, err, "openat", syscall.ELOOP)
		_, err = syscalls.OpenReadWrite(dirfd, ".")
		wantErr(t, err, "openat", syscall.EISDIR)
		_, err = unix.FcntlInt(uintptr(holder), unix.F_SETSIG, int(unix.SIGURG))
		must(t, err)
		_, err = unix.FcntlInt(uintptr(holder), unix.F_SETLEASE, unix.F_WRLCK)
		must(t, err)
		_, err = syscalls.OpenReadWrite(dirfd, "file")
		wantErr(t, err, "openat", syscall.EAGAIN)
	})
}
