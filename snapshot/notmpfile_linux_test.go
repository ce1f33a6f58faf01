package snapshot_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/publish"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// Where a directory knows no unnamed files, a MmapMut works all the same: its private copy lies
// in TempDir, and what is to be published has a temporary name until it is.
//
//promise:snapshot.MmapMut.Commit without O_TMPFILE a temporary name exists during the commit
//promise:snapshot.MmapMut.Commit without O_TMPFILE the temporary name has mode 0600
func TestWithoutTmpfile(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		defer systest.NoTmpfile()()
		data := noise(1, 100000)
		published, during := slices.Clone(data), 0
		name := join(dir, "f")
		must(t, os.WriteFile(name, data, 0o640))
		c := snapshot.Config{TempDir: dir, CheckConflict: true, Progress: func(done, total int64) {
			if names := namesIn(t, dir); len(names) > 1 {
				during++
				wantFile(t, name, published)
				wantMode(t, join(dir, names[0]), 0o600) // nobody else's, until it is whole
			}
		}}
		m, err := c.OpenMut(context.Background(), name)
		must(t, err)
		closeLater(t, m)
		if (m.Method() == snapshot.Reflink) != reflinks(dir) {
			t.Error(m.Method()) // TempDir is on the same filesystem
		}
		for range 3 {
			data = append(data, noise(2, 5000)...)
			data[0]++
			must(t, m.Resize(int64(len(data))))
			_, err := m.WriteAt(data, 0)
			must(t, err)
			must(t, m.Commit())
			wantFile(t, name, data)
			published = slices.Clone(data)
		}
		if (during == 0) != reflinks(dir) {
			t.Error("copies were made under a temporary name", during, "times")
		}
		wantMode(t, name, 0o640)
		wantNames(t, dir, "f")

		must(t, m.Link(join(dir, "link")))
		wantFile(t, join(dir, "link"), data)
		wantIs(t, m.Link(join(dir, "link")), fs.ErrExist)
		must(t, m.CommitTo(join(dir, "to")))
		wantFile(t, join(dir, "to"), data)
		wantMode(t, join(dir, "to"), 0o640)
		wantNames(t, dir, "f", "link", "to")

		undo := systest.Intercept(t, func(call string) error { // as NFS and many FUSE filesystems
			if call == "renameat2" {
				return errors.ErrUnsupported
			}
			return nil
		})
		must(t, m.Link(join(dir, "link2")))
		wantFile(t, join(dir, "link2"), data)
		wantIs(t, m.Link(join(dir, "link")), fs.ErrExist)
		undo()
		must(t, os.Remove(join(dir, "link2")))

		must(t, m.Resize(1))
		must(t, m.CommitAndClose())
		wantFile(t, name, data[:1])
		wantIs(t, m.Close(), fs.ErrClosed)
		wantNames(t, dir, "f", "link", "to")
	})
}

// The same for a new file.
//
//promise:snapshot.Config.Create without O_TMPFILE the new file has the mode of Perm from the start
func TestCreateWithoutTmpfile(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		defer systest.NoTmpfile()()
		defer syscall.Umask(syscall.Umask(0o027))
		c := snapshot.Config{CheckConflict: true}
		m, err := c.Create(context.Background(), join(dir, "new"))
		must(t, err)
		closeLater(t, m)
		must(t, m.Resize(5000))
		wantNames(t, dir)
		must(t, m.Commit())
		wantFile(t, join(dir, "new"), make([]byte, 5000))
		wantMode(t, join(dir, "new"), 0o640)

		other, err := c.Create(context.Background(), join(dir, "other"))
		must(t, err)
		closeLater(t, other)
		write(t, join(dir, "other"), []byte("there first"))
		wantIs(t, other.Commit(), snapshot.ErrConflict)
		wantFile(t, join(dir, "other"), []byte("there first"))
		must(t, os.Remove(join(dir, "other")))
		write(t, join(dir, publish.TempName("other")), []byte("left by a crash"))
		must(t, other.Commit())
		wantNames(t, dir, "new", "other")
	})
}

// An ordinary user is told at once that he may not write to the directory, not at the commit.
//
//promise:snapshot.Config.OpenMut without O_TMPFILE OpenMut fails if the directory is not writable
func TestWithoutTmpfileUnwritable(t *testing.T) {
	dir := mounttest.Dir(t, mounttest.Host)
	if !mounttest.IsUserChild() {
		must(t, os.WriteFile(join(dir, "f"), nil, 0o666))
		must(t, os.Chmod(join(dir, "f"), 0o666))
	} else {
		dir = os.Getenv("TEST_DIR")
	}
	mounttest.AsUser(t, func(t *testing.T) {
		_, err := snapshot.OpenMut(join(dir, "f"))
		wantIs(t, err, fs.ErrPermission)
	}, "TEST_DIR="+dir)
}

// A name that another took at the same moment is not taken from it, and what looks like a
// leftover in the moment after it was made, and is removed, is made again.
func TestTemporaryNameLost(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		defer systest.NoTmpfile()()
		name := join(dir, "f")
		write(t, name, []byte("old"))
		m := openMut(t, name)
		_, err := m.WriteAt([]byte("new"), 0)
		must(t, err)
		locked := ""
		for _, lose := range []func(slot string){
			func(slot string) { must(t, os.Remove(slot)) },
			func(slot string) { // and the name was taken since
				must(t, os.Remove(slot))
				write(t, slot, []byte("another's"))
			},
			func(slot string) { // somebody is about to remove it
				must(t, syscall.Flock(int(openFile(t, slot, os.O_RDONLY).Fd()), syscall.LOCK_EX))
				locked = slot
			},
		} {
			done := false
			undo := systest.Intercept(t, func(call string) error {
				if call == "renameat" && locked != "" {
					must(t, os.Remove(locked))
				}
				if call != "flock" || done {
					return nil
				}
				for _, n := range namesIn(t, dir) {
					if strings.HasPrefix(n, ".") {
						done = true
						lose(join(dir, n))
					}
				}
				return nil
			})
			must(t, m.Commit())
			undo()
			if !done {
				t.Error("nothing was lost")
			}
			wantFile(t, name, []byte("new"))
			for _, n := range namesIn(t, dir) {
				if n != "f" {
					must(t, os.Remove(join(dir, n)))
				}
			}
		}
	})
}

// wantIs checks that an error is target.
func wantIs(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%v: is not %v", err, target)
	}
}

// If TempDir cannot hold the private copy of a MmapMut either, opening and creating fail, and
// nothing is left: only an Mmap goes to memory.
//
//promise:snapshot.Config.TempDir a MmapMut is never in memory: opening and creating fail
func TestMutIsNeverInMemory(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		defer systest.NoTmpfile()()
		inMemory := 0
		systest.Intercept(t, func(call string) error {
			switch call {
			case "tmpfile excl":
				return syscall.EOPNOTSUPP
			case "memfd":
				inMemory++
			}
			return nil
		})
		name, temp := join(dir, "f"), t.TempDir()
		write(t, name, noise(1, 1000))
		c := snapshot.Config{TempDir: temp}
		reason := ": directory of the file: operation not supported; temporary directory " + temp + ": operation not supported"
		_, err := c.OpenMut(t.Context(), name)
		wantError(t, err, errors.ErrUnsupported, "open "+name+reason)
		_, err = c.Create(t.Context(), join(dir, "new"))
		wantError(t, err, errors.ErrUnsupported, "create "+join(dir, "new")+reason)
		if inMemory != 0 {
			t.Errorf("%d files in memory", inMemory)
		}
		m, err := c.Open(t.Context(), name)
		must(t, err)
		must(t, m.Close())
		wantNames(t, dir, "f")
	})
}

// Until the file has its own ACL only its owner may open it: neither those whom the default
// ACL of the directory names, nor those whom only the ACL keeps out.
//
//promise:snapshot.MmapMut.Commit before its ACL is set, only its owner can open the new file
func TestNobodyElseBeforeTheACL(t *testing.T) {
	needOwners(t)
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		must(t, unix.Setxattr(dir, "system.posix_acl_default", acl(1234), 0))
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		defer systest.NoTmpfile()()
		m := openMut(t, name)
		for _, own := range [][]byte{acl(4321), nil} {
			if own == nil {
				must(t, unix.Removexattr(name, "system.posix_acl_access"))
			} else {
				must(t, unix.Setxattr(name, "system.posix_acl_access", own, 0))
			}
			must(t, os.Chmod(name, 0o640))
			looked := 0
			undo := systest.Intercept(t, func(call string) error {
				if fi, err := os.Stat(join(dir, publish.TempName("f"))); err == nil && (call == "fsetxattr" || call == "fremovexattr") {
					if looked++; fi.Mode() != 0o600 {
						t.Errorf("%s: the mode is %v", call, fi.Mode())
					}
				}
				return nil
			})
			must(t, m.Commit())
			undo()
			wantMode(t, name, 0o640)
			if looked == 0 {
				t.Error("no attribute was set")
			}
		}
	})
}
