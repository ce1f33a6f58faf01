package snapshot_test

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Bare and relative names work, and mean the directory of then, whatever the working directory
// is now.
//
//promise:snapshot.MmapMut.Commit a chdir after OpenMut does not change the file that Commit writes
func TestRelativeNames(t *testing.T) { smallAndPrivate(t, relativeNames) }

func relativeNames(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		must(t, os.MkdirAll(join(dir, "sub/sub"), 0o755))
		must(t, os.MkdirAll(join(dir, "elsewhere/sub"), 0o755))
		for name, from := range map[string]string{
			"f":               "sub",
			"./f":             "sub",
			"sub/f":           "",
			"../sub//f":       "sub",
			"sub/../sub/f":    "sub",
			dir + "/./sub/f2": "sub",
		} {
			t.Run(strings.ReplaceAll(name, "/", "|"), func(t *testing.T) {
				t.Chdir(join(dir, from))
				write(t, name, noise(1, 5000))
				m := openMut(t, name)
				must(t, m.Resize(10))
				t.Chdir(join(dir, "elsewhere"))
				must(t, m.Commit())
				must(t, m.CommitAndClose())
				wantNames(t, join(dir, "elsewhere"), "sub")
				wantNames(t, join(dir, "elsewhere/sub"))
				t.Chdir(join(dir, from))
				wantFile(t, name, noise(1, 5000)[:10])
				r := open(t, name)
				if r.Name() != name {
					t.Error(r.Name())
				}
			})
		}
	})
}

// A symbolic link is followed, once, and stays: the file it led to is what is committed.
//
//promise:snapshot.Config.Open Open resolves symbolic links once
//promise:snapshot.Config.OpenMut OpenMut resolves symbolic links once, and Commit keeps the link
func TestSymbolicLinks(t *testing.T) { smallAndPrivate(t, symbolicLinks) }

func symbolicLinks(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		must(t, os.MkdirAll(join(dir, "a/b"), 0o755))
		must(t, os.Symlink("a", join(dir, "dirlink")))
		must(t, os.Symlink("b/target", join(dir, "a/second")))
		must(t, os.Symlink("dirlink/second", join(dir, "first")))
		target := join(dir, "a/b/target")
		write(t, target, noise(1, 5000))

		r := open(t, join(dir, "first"))
		wantContents(t, r, noise(1, 5000))
		m := openMut(t, join(dir, "first"))
		must(t, m.Resize(7))
		must(t, commit(m))
		wantFile(t, target, noise(1, 5000)[:7])
		for _, link := range []string{"dirlink", "a/second", "first"} {
			if fi, err := os.Lstat(join(dir, link)); err != nil || fi.Mode().Type() != os.ModeSymlink {
				t.Errorf("%s: %v, %v", link, fi, err)
			}
		}
		wantNames(t, join(dir, "a/b"), "target")

		// Where a link leads to nothing yet, Create makes it.
		must(t, os.Symlink("b/new", join(dir, "a/dangling")))
		m = create(t, join(dir, "a/dangling"))
		must(t, m.Resize(3))
		must(t, commit(m))
		wantFile(t, join(dir, "a/b/new"), make([]byte, 3))
		wantNames(t, join(dir, "a/b"), "new", "target")
	})
}

// A link that is turned elsewhere after the opening does not turn the commit.
//
//promise:snapshot.MmapMut.Commit a symbolic link changed after OpenMut does not redirect Commit
func TestSymbolicLinkTurned(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		write(t, join(dir, "a"), noise(1, 100))
		write(t, join(dir, "b"), noise(2, 100))
		must(t, os.Symlink("a", join(dir, "link")))
		m := openMut(t, join(dir, "link"))
		must(t, m.Resize(10))
		must(t, os.Remove(join(dir, "link")))
		must(t, os.Symlink("b", join(dir, "link")))
		must(t, m.Commit())
		wantFile(t, join(dir, "a"), noise(1, 100)[:10])
		wantFile(t, join(dir, "b"), noise(2, 100))
	})
}

// The commit of a file that was moved away with its directory goes where the directory went.
//
//promise:snapshot.MmapMut.Commit if the directory was moved, Commit writes to its new place
func TestDirectoryMoved(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		must(t, os.Mkdir(join(dir, "a"), 0o755))
		write(t, join(dir, "a/f"), noise(1, 100))
		m := openMut(t, join(dir, "a/f"))
		must(t, m.Resize(10))
		must(t, os.Rename(join(dir, "a"), join(dir, "b")))
		must(t, m.Commit())
		wantFile(t, join(dir, "b/f"), noise(1, 100)[:10])
		wantNames(t, dir, "b")
	})
}

// Names as long as names can be need no longer temporary ones.
func TestLongNames(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		base := strings.Repeat("n", 255)
		write(t, join(dir, base), noise(1, 100))
		m := openMut(t, join(dir, base))
		must(t, m.Resize(10))
		must(t, commit(m))
		wantFile(t, join(dir, base), noise(1, 100)[:10])
		wantNames(t, dir, base)
	})
}

// A link in /proc/self/fd leads to the open file, not to what its text names by now.
func TestMagicLinks(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 10000)
		write(t, name, data)
		f := openFile(t, name, os.O_RDWR)
		magic := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
		must(t, os.Symlink(magic, join(dir, "link")))

		wantContents(t, open(t, magic), data)
		m := openMut(t, join(dir, "link"))
		must(t, m.Resize(10))
		must(t, m.CommitAndClose()) // there is a name still
		wantFile(t, name, data[:10])

		f = openFile(t, name, os.O_RDWR)
		magic = "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
		must(t, os.Remove(name))
		write(t, name+" (deleted)", []byte("decoy"))
		for _, link := range []string{magic, join(dir, "link2")} {
			if link != magic {
				must(t, os.Symlink(magic, link))
			}
			m := open(t, link)
			wantContents(t, m, data[:10])
			if (m.Method() == snapshot.Reflink) != reflinks(dir) {
				t.Error(m.Method())
			}
			_, err := snapshot.OpenMut(link)
			wantError(t, err, fs.ErrInvalid, "open "+link+": no name is known that leads to the file: invalid argument")
			_, err = snapshot.Create(link)
			wantError(t, err, fs.ErrInvalid, "create "+link+": no name is known that leads to the file: invalid argument")
			m2 := openMut(t, name+" (deleted)")
			if err := m2.CommitTo(link); !errors.Is(err, fs.ErrInvalid) {
				t.Error(err)
			}
		}
		wantFile(t, name+" (deleted)", []byte("decoy"))
	})
}

// What the kernel forbids to follow is not followed: others' links in a sticky directory, with fs.protected_symlinks.
//
//promise:snapshot.Config.Open Open follows no symbolic link that fs.protected_symlinks forbids
func TestProtectedSymlinks(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		write(t, join(dir, "target"), []byte("precious"))
		must(t, os.Symlink("target", join(dir, "link")))
		undo := systest.Intercept(t, func(call string) error {
			if call == "openpath follow" {
				return syscall.EACCES
			}
			return nil
		})
		defer undo()
		_, err := snapshot.Open(join(dir, "link"))
		wantError(t, err, fs.ErrPermission, "open "+join(dir, "link")+": permission denied")
		_, err = snapshot.Create(join(dir, "link"))
		wantError(t, err, fs.ErrPermission, "create "+join(dir, "link")+": permission denied")
	})
}
