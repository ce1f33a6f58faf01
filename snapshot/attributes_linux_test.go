package snapshot_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// Owner, group, mode with its set-id bits, extended attributes and ACLs are those of the file
// as it is at the time of the commit.
//
//promise:snapshot.MmapMut.Commit owner, group, mode, xattrs and ACLs are those at the commit
func TestCommitKeepsAttributes(t *testing.T) {
	needOwners(t)
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		name := join(dir, "f")
		write(t, name, noise(1, 10000))
		m := openMut(t, name)
		must(t, m.Resize(10))
		// All this happens after the opening, and counts.
		must(t, os.Chown(name, 1234, 5678))
		must(t, os.Chmod(name, 0o751|fs.ModeSetuid|fs.ModeSetgid))
		if mounttest.CanSetTrusted() {
			must(t, unix.Setxattr(name, "trusted.t", []byte("trusted value"), 0))
			must(t, unix.Setxattr(name, "security.label", []byte("a security label"), 0))
		}
		user := unix.Setxattr(name, "user.u", []byte("a value\x00with a zero"), 0) == nil
		if !user && mounttest.Has(dir, mounttest.Known) {
			t.Error("no user attributes on a filesystem that has them")
		}
		if user {
			must(t, unix.Setxattr(name, "user.empty", nil, 0))
			must(t, unix.Setxattr(name, "system.posix_acl_access", acl(1234), 0))
		}
		want := attributesOf(t, name)
		if user && !strings.Contains(want, "user.empty") {
			t.Fatal(want)
		}
		must(t, commit(m))
		wantFile(t, name, noise(1, 10000)[:10])
		if got := attributesOf(t, name); got != want {
			t.Errorf("attributes were\n%s\nand are now\n%s", want, got)
		}
	})
}

// What a directory hands down to new files is not given to a file that did not have it.
//
//promise:snapshot.MmapMut.Commit the new file inherits no attribute from the directory
func TestCommitInheritsNothing(t *testing.T) {
	needOwners(t)
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		name := join(dir, "f")
		write(t, name, noise(1, 10000))
		must(t, os.Chmod(name, 0o600))
		want := attributesOf(t, name)
		if err := unix.Setxattr(dir, "system.posix_acl_default", acl(1234), 0); err != nil {
			t.Skip("no ACLs here: ", err)
		}
		must(t, os.Chown(dir, 0, 77))
		must(t, os.Chmod(dir, 0o755|fs.ModeSetgid))
		m := openMut(t, name)
		must(t, m.Resize(10))
		must(t, commit(m))
		if got := attributesOf(t, name); got != want {
			t.Errorf("attributes were\n%s\nand are now\n%s", want, got)
		}
		// A new file does get it.
		m = create(t, name+"2")
		must(t, m.Resize(10))
		must(t, commit(m))
		if got := attributesOf(t, name+"2"); !strings.Contains(got, "posix_acl_access") || !strings.Contains(got, "gid 77") {
			t.Errorf("a new file got only\n%s", got)
		}
	})
}

// The inode number and what chattr(1) sets are those of a new file.
//
//promise:snapshot.MmapMut.Commit the new file has another inode and none of the flags of chattr
func TestCommitKeepsNoFlags(t *testing.T) {
	const noDump = 0x40 // FS_NODUMP_FL of linux/fs.h
	mounttest.EachOf(t, mounttest.Disk, func(t *testing.T, dir string) {
		for _, way := range ways {
			name := join(dir, way.name)
			write(t, name, noise(1, 100))
			f := openFile(t, name, os.O_RDONLY)
			flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
			must(t, err)
			must(t, unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags|noDump)))
			m := openMut(t, name)
			must(t, way.do(m))
			_ = m.Close()
			now := openFile(t, name, os.O_RDONLY)
			before, err := f.Stat()
			must(t, err)
			after, err := now.Stat()
			must(t, err)
			flags, err = unix.IoctlGetUint32(int(now.Fd()), unix.FS_IOC_GETFLAGS)
			must(t, err)
			if os.SameFile(before, after) || flags&noDump != 0 {
				t.Errorf("%s: flags %#x: the documentation is to say that they are kept", way.name, flags)
			}
		}
	})
}

// A file that was removed since comes back as it was.
//
//promise:snapshot.MmapMut.Commit if the file was removed, Commit creates it with its attributes
func TestCommitAfterUnlink(t *testing.T) {
	needOwners(t)
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		name := join(dir, "f")
		write(t, name, noise(1, 10000))
		must(t, os.Chown(name, 1234, 5678))
		must(t, os.Chmod(name, 0o604))
		if mounttest.CanSetTrusted() {
			must(t, unix.Setxattr(name, "trusted.t", []byte("v"), 0))
		}
		want := attributesOf(t, name)
		m := openMut(t, name)
		must(t, m.Resize(10))
		must(t, os.Remove(name))
		must(t, commit(m))
		wantFile(t, name, noise(1, 10000)[:10])
		if got := attributesOf(t, name); got != want {
			t.Errorf("attributes were\n%s\nand are now\n%s", want, got)
		}
	})
}

// Where the name now belongs to something that is no file, nothing is replaced.
//
//promise:snapshot.MmapMut.Commit Commit replaces no directory, link or other irregular file
func TestCommitOverOther(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		for kind, put := range map[string]func(name string) error{
			"directory": func(name string) error { return os.Mkdir(name, 0o755) },
			"fifo":      func(name string) error { return syscall.Mkfifo(name, 0o644) },
			"link":      func(name string) error { return os.Symlink("elsewhere", name) },
		} {
			name := join(dir, kind)
			write(t, name, noise(1, 100))
			m := openMut(t, name)
			must(t, os.Remove(name))
			must(t, put(name))
			before, err := os.Lstat(name)
			must(t, err)
			err = commit(m)
			if kind == "link" && err == nil { // CommitTo follows it, as it would any name
				wantFile(t, join(dir, "elsewhere"), noise(1, 100))
				must(t, os.Remove(join(dir, "elsewhere")))
			} else if !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, syscall.EISDIR) {
				t.Errorf("%s: %v", kind, err)
			}
			if after, err := os.Lstat(name); err != nil || !os.SameFile(before, after) {
				t.Errorf("%s: was replaced: %v, %v", kind, after, err)
			}
		}
		wantNames(t, dir, "directory", "fifo", "link")
	})
}

// A chmod that is made while the data are copied or written to the disk is kept, too.
//
//promise:snapshot.MmapMut.Commit a chmod during the commit is kept
func TestChmodDuringCommit(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		name := join(dir, "f")
		for _, when := range []string{"ficlone", "fsync", "flock"} {
			write(t, name, noise(1, 10000))
			must(t, os.Chmod(name, 0o644))
			m := openMut(t, name)
			must(t, m.Resize(10))
			fsyncs := 0
			undo := systest.Intercept(t, func(call string) error {
				if call == when {
					must(t, os.Chmod(name, 0o600))
				}
				if call == "fsync" {
					fsyncs++
				}
				return nil
			})
			must(t, commit(m))
			undo()
			if when == "flock" && filepath.Base(dir) == "Commit" && fsyncs != 3 { // the directory is one
				t.Errorf("%d calls of fsync: the new mode may not be on the disk", fsyncs)
			}
			if fileSize(t, name) != 10 {
				t.Error("not committed")
			}
			if when != "ficlone" || filepath.Base(dir) != "CommitAndClose" { // which does not clone
				wantMode(t, name, 0o600)
			}
			_ = m.Close()
			must(t, os.Remove(name))
		}
	})
}

// A mode of Perm that the kernel does not give without a word, because the caller is not in the
// group of new files, is an error.
//
//promise:snapshot.Config.Perm if the kernel drops set-id bits of Perm, Commit fails
func TestModeThatCannotBeSet(t *testing.T) {
	mounttest.EachKind(t, mounttest.Known, func(t *testing.T, kind *mounttest.Kind) {
		var dir string
		if !mounttest.IsUserChild() {
			dir = kind.Dir(t)
			must(t, os.Chown(dir, 65534, 4321))
			must(t, os.Chmod(dir, 0o777|fs.ModeSetgid)) // new files get the group, too
		}
		mounttest.AsUser(t, func(t *testing.T) {
			dir := os.Getenv("TEST_DIR")
			for _, way := range ways {
				m, err := snapshot.Config{Perm: 0o755 | fs.ModeSetgid}.Create(context.Background(), join(dir, "f"))
				must(t, err)
				err = way.do(m)
				if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "mode 02755 cannot be set") {
					t.Errorf("%s: %v", way.name, err)
				}
				_ = m.Close()
				wantNames(t, dir)
			}
		}, "TEST_DIR="+dir)
	})
}

// Stat is that of before the copy, with the size of the snapshot.
//
//promise:snapshot.Mmap.Stat Stat describes the file before the copy, with the snapshot's size
//promise:snapshot.MmapMut.Stat Stat describes the file before the copy, with the snapshot's size
func TestStat(t *testing.T) { smallAndPrivate(t, stat) }

func stat(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 10000))
		must(t, os.Chmod(name, 0o604|fs.ModeSticky))
		before, err := os.Stat(name)
		must(t, err)
		r, m := open(t, name), openMut(t, name)
		must(t, os.Truncate(name, 5))
		must(t, os.Chmod(name, 0o600))
		must(t, m.Resize(77))
		for size, r := range map[int64]reader{10000: r, 77: m} {
			fi, err := r.Stat()
			must(t, err)
			if fi.Name() != "f" || fi.Size() != size || fi.Mode() != before.Mode() || !fi.ModTime().Equal(before.ModTime()) || fi.IsDir() {
				t.Errorf("%v %v %v %v", fi.Name(), fi.Size(), fi.Mode(), fi.ModTime())
			}
			if st := fi.Sys().(*syscall.Stat_t); st.Ino != before.Sys().(*syscall.Stat_t).Ino {
				t.Error(st.Ino)
			}
		}
	})
}
