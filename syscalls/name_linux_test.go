package syscalls_test

import (
	"os"
	"path/filepath"
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
		function: "FDPath", name: "readlink", number: unix.SYS_READLINKAT,
		do:       func(f *files) error { return second(syscalls.FDPath(f.file())) },
		failures: errnos{syscall.EACCES, syscall.ENOENT},
		bad:      syscall.ENOENT,
	},
	call{
		function: "Readlinkat", name: "readlinkat", number: unix.SYS_READLINKAT,
		do:       func(f *files) error { return second(syscalls.Readlinkat(f.file())) },
		failures: errnos{syscall.EACCES, syscall.EINVAL},
	},
	call{
		function: "Renameat", name: "renameat", number: none,
		do: func(f *files) error { return syscalls.Renameat(f.dir(), "x", "y") },
	},
	call{
		function: "RenameNoReplace", name: "renameat2", number: unix.SYS_RENAMEAT2,
		do:          func(f *files) error { return syscalls.RenameNoReplace(f.dir(), "x", "y") },
		unsupported: errnos{syscall.EINVAL},
		failures:    errnos{syscall.EEXIST, syscall.EPERM},
		needs:       "renameat2",
	},
	call{
		function: "Unlinkat", name: "unlinkat", number: unix.SYS_UNLINKAT,
		do:       func(f *files) error { return syscalls.Unlinkat(f.dir(), "x") },
		failures: errnos{syscall.EACCES, syscall.EPERM, syscall.EISDIR},
	},
	call{
		function: "Close", name: "close", number: none,
		do: func(f *files) error { return syscalls.Close(f.file()) },
	},
)

//promise:syscalls.FDPath FDPath returns the last name of the file behind a descriptor
func TestFDPath(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		// Longer than the buffer that is tried first.
		long := filepath.Join(dir, strings.Repeat("d", 200), strings.Repeat("e", 200))
		must(t, os.MkdirAll(long, 0o700))
		fd := newFile(t, long, "old", nil)
		want := func(want string) {
			t.Helper()
			if got, err := syscalls.FDPath(fd); got != want || err != nil {
				t.Errorf("FDPath is %q, %v, want %q", got, err, want)
			}
		}
		want(filepath.Join(long, "old"))
		must(t, unix.Rename(filepath.Join(long, "old"), filepath.Join(dir, "new")))
		want(filepath.Join(dir, "new"))
		must(t, unix.Unlink(filepath.Join(dir, "new")))
		want(filepath.Join(dir, "new") + " (deleted)")
	})
}

//promise:syscalls.Readlinkat Readlinkat returns targets of any length
func TestReadlinkat(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		// Around the sizes of the buffers that are tried; XFS has no longer ones than 1023.
		for _, length := range []int{1, 255, 256, 257, 511, 512, 513, 1023} {
			target := strings.Repeat("x", length)
			name := filepath.Join(dir, "link")
			must(t, unix.Symlink(target, name))
			got, err := syscalls.Readlinkat(openPath(t, dir, "link"))
			if got != target || err != nil {
				t.Errorf("target of length %d: got %d, %v", length, len(got), err)
			}
			must(t, unix.Unlink(name))
		}
		newFile(t, dir, "file", nil)
		_, err := syscalls.Readlinkat(openPath(t, dir, "file"))
		wantErr(t, err, "readlinkat", syscall.ENOENT)
	})
}

//promise:syscalls.Renameat Renameat replaces the new name
func TestRenameat(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		dirfd := openDir(t, dir)
		a, b := newFile(t, dir, "a", noise(100, 1)), newFile(t, dir, "b", noise(200, 2))
		must(t, syscalls.Renameat(dirfd, "a", "b"))
		wantContents(t, open(t, filepath.Join(dir, "b"), unix.O_RDONLY), noise(100, 1))
		wantContents(t, b, noise(200, 2)) // who has it open keeps it
		if na, nb := stat(t, a).Nlink, stat(t, b).Nlink; na != 1 || nb != 0 {
			t.Errorf("link counts %d and %d, want 1 and 0", na, nb)
		}
		wantErr(t, syscalls.Renameat(dirfd, "a", "b"), "renameat", syscall.ENOENT)
		must(t, unix.Mkdir(filepath.Join(dir, "dir"), 0o700))
		wantErr(t, syscalls.Renameat(dirfd, "b", "dir"), "renameat", syscall.EISDIR)
		must(t, syscalls.Renameat(dirfd, "b", "c"))
		wantNames(t, dir, "c", "dir")
	})
}

//promise:syscalls.RenameNoReplace a new name that exists is EEXIST
func TestRenameNoReplace(t *testing.T) {
	needCall(t, "renameat2")
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		newFile(t, dir, "a", []byte("a"))
		check := unchanged(t, newFile(t, dir, "taken", []byte("taken")))
		dirfd := openDir(t, dir)
		wantErr(t, syscalls.RenameNoReplace(dirfd, "a", "taken"), "renameat2", syscall.EEXIST)
		check()
		wantNames(t, dir, "a", "taken")
		must(t, syscalls.RenameNoReplace(dirfd, "a", "b"))
		wantNames(t, dir, "b", "taken")
		wantErr(t, syscalls.RenameNoReplace(dirfd, "a", "b"), "renameat2", syscall.ENOENT)
	})
}

//promise:syscalls.Unlinkat Unlinkat removes a name
func TestUnlinkat(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		dirfd := openDir(t, dir)
		fd := newFile(t, dir, "file", noise(100, 1))
		must(t, unix.Mkdir(filepath.Join(dir, "dir"), 0o700))
		must(t, syscalls.Unlinkat(dirfd, "file"))
		wantErr(t, syscalls.Unlinkat(dirfd, "file"), "unlinkat", syscall.ENOENT)
		wantErr(t, syscalls.Unlinkat(dirfd, "dir"), "unlinkat", syscall.EISDIR)
		wantNames(t, dir, "dir")
		wantContents(t, fd, noise(100, 1))
	})
}

// No program that is started gets a descriptor by accident.
//
//promise:syscalls descriptors are closed on exec
func TestCloseOnExec(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		newFile(t, dir, "file", nil)
		dirfd, path := openDir(t, dir), openPath(t, dir, "file")
		descriptors := map[string]func() (int, error){
			"OpenPath":        func() (int, error) { return path, nil },
			"OpenDir":         func() (int, error) { return dirfd, nil },
			"Reopen":          func() (int, error) { return syscalls.Reopen(path) },
			"ReopenReadWrite": func() (int, error) { return syscalls.ReopenReadWrite(path) },
			"ReopenDir":       func() (int, error) { return syscalls.ReopenDir(dirfd) },
			"OpenRead":        func() (int, error) { return syscalls.OpenRead(dirfd, "file") },
			"OpenReadWrite":   func() (int, error) { return syscalls.OpenReadWrite(dirfd, "file") },
			"Tmpfile":         func() (int, error) { return syscalls.Tmpfile(dirfd, 0) },
			"TmpfileExcl":     func() (int, error) { return syscalls.TmpfileExcl(dirfd, 0) },
		}
		if !lacks(t, "openat2") {
			descriptors["OpenPathBeneath"] = func() (int, error) {
				return syscalls.OpenPathBeneath(dirfd, ".")
			}
		}
		for name, call := range descriptors {

			fd, err := call()
			must(t, err)
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("%s: flags %#x, %v", name, flags, err)
			}
			if fd != path && fd != dirfd {
				must(t, syscalls.Close(fd))
			}
		}
	})
}

func TestClose(t *testing.T) {
	mounttest.Leaks(t)
	fd, err := syscalls.OpenDir(syscalls.AtFdcwd, "/")
	must(t, err)
	must(t, syscalls.Close(fd))
	if err := unix.Fstat(fd, new(unix.Stat_t)); err != unix.EBADF {
		t.Errorf("after Close: %v", err)
	}
	wantErr(t, syscalls.Close(fd), "close", syscall.EBADF)
}

// On Linux, an interrupted close has closed the descriptor. A second close might close a descriptor
// that another thread opened in between.
//
//promise:syscalls.Close EINTR is no error, and close is not called again
func TestCloseInterrupted(t *testing.T) {
	mounttest.Leaks(t)
	fd := open(t, mounttest.Dir(t, mounttest.Host), unix.O_RDONLY)
	closed := make(chan error)
	go func() {
		interrupt := refusal{unix.SYS_CLOSE, 0, uint32(fd), syscall.EINTR}
		closed <- refused(t, interrupt, func() error { return syscalls.Close(fd) })
	}()
	select {
	case err := <-closed:
		must(t, err)
	case <-time.After(time.Minute):
		t.Fatal("Close does not end")
	}
}
