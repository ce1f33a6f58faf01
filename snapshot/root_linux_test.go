package snapshot_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// Each call finds files below Root, through symbolic links too.
//
//promise:snapshot.Config.Root names are looked up below Root, through links that stay below it
func TestRoot(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) { withAndWithoutOpenat2(t, dir, testRoot) })
}

//promise:snapshot.Config.Root names are looked up below Root for an ordinary user, too
func TestRootAsUser(t *testing.T) {
	mounttest.EachKind(t, mounttest.Known, func(t *testing.T, kind *mounttest.Kind) {
		mounttest.AsUser(t, func(t *testing.T) { withAndWithoutOpenat2(t, kind.Dir(t), testRoot) })
	})
}

func testRoot(t *testing.T, dir string) {
	must(t, os.MkdirAll(join(dir, "root/sub/deep"), 0o755))
	must(t, os.Symlink("../f", join(dir, "root/sub/link")))
	must(t, os.Symlink("deep/new", join(dir, "root/sub/dangling")))
	must(t, os.Symlink("sub", join(dir, "root/dirlink")))
	file := join(dir, "root/f")
	write(t, file, noise(1, 5000))
	root, ctx := openRoot(t, join(dir, "root")), context.Background()
	c := snapshot.Config{Root: root}
	for _, name := range []string{"f", "sub/../f", "sub/link", "dirlink/link"} {
		m, err := c.Open(ctx, name)
		must(t, err)
		wantContents(t, m, noise(1, 5000))
		if m.Name() != name {
			t.Errorf("Name is %q, want %q", m.Name(), name)
		}
		must(t, m.Close())
	}
	m, err := c.OpenMut(ctx, "dirlink/link")
	must(t, err)
	must(t, m.Resize(100))
	must(t, m.Commit())
	wantFile(t, file, noise(1, 5000)[:100])
	must(t, m.CommitTo("sub/deep/to"))
	must(t, m.CommitTo("dirlink/link"))
	must(t, m.Link("dirlink/linked"))
	must(t, m.Close())
	for name, create := range map[string]string{
		"sub/deep/new": "sub/dangling", "sub/made": "sub/made",
	} {
		m, err := c.Create(ctx, create)
		must(t, err)
		must(t, m.Resize(7))
		must(t, m.CommitAndClose())
		wantFile(t, join(dir, "root/"+name), make([]byte, 7))
	}
	wantFile(t, join(dir, "root/sub/deep/to"), noise(1, 5000)[:100])
	wantFile(t, join(dir, "root/sub/linked"), noise(1, 5000)[:100])
	wantNames(t, join(dir, "root"), "dirlink", "f", "sub")
	wantNames(t, join(dir, "root/sub"), "dangling", "deep", "link", "linked", "made")
	wantNames(t, join(dir, "root/sub/deep"), "new", "to")
}

// A name that leads out of Root is an error, the one that os.Root has, of each call. Outside,
// nothing is opened and nothing is changed.
//
//promise:snapshot.Config.Root a name that leads out of Root is the error of os.Root
//promise:snapshot.Config.Root an absolute name is the error of os.Root, also if it is below Root
func TestRootEscapes(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		withAndWithoutOpenat2(t, dir, func(t *testing.T, dir string) {
			must(t, os.MkdirAll(join(dir, "root/sub"), 0o755))
			must(t, os.Mkdir(join(dir, "outside"), 0o755))
			write(t, join(dir, "outside/f"), noise(1, 100))
			write(t, join(dir, "root/base"), noise(2, 100))
			for link, target := range map[string]string{
				"link": "../outside/f", "dirlink": "../outside", "absolute": join(dir, "root/base"),
				"sub/link": "../../outside/f", "dangling": "../outside/new", "back": "../root/base",
			} {
				must(t, os.Symlink(target, join(dir, "root/"+link)))
			}
			happened := watch(t, join(dir, "outside"))
			root := openRoot(t, join(dir, "root"))
			_, err := root.Open("..")
			want := errors.Unwrap(err)
			c := snapshot.Config{Root: root}
			m, err := c.OpenMut(context.Background(), "base")
			must(t, err)
			defer m.Close()
			for _, call := range rootCalls {
				names := []string{
					"../outside/f", "../outside/new", "dirlink/f", "dirlink/new", "..", "/",
					join(dir, "outside/new"), join(dir, "root/base"), "sub/../../outside/f",
					"sub/../..", "dirlink/../root/base",
				}
				if call.name != "Link" { // which follows no link at the end of the name
					names = append(names, "link", "sub/link", "dangling", "absolute", "back")
				}
				for _, name := range names {
					err := call.do(c, m, name)
					if !errors.Is(err, want) || errors.Is(err, errors.ErrUnsupported) ||
						errors.Is(err, syscall.EXDEV) {
						t.Errorf("%s %s: %v, want %v", call.name, name, err, want)
					}
				}
			}
			for _, name := range []string{"link", "dangling"} {
				if err := m.Link(name); !errors.Is(err, fs.ErrExist) {
					t.Errorf("Link %s: %v", name, err)
				}
			}
			_, err = c.Open(context.Background(), "../f")
			wantError(t, err, want, "open ../f: path escapes from parent")
			if events := happened(); events != "" {
				t.Errorf("outside: %q", events)
			}
			wantNames(t, join(dir, "outside"), "f")
			wantFile(t, join(dir, "outside/f"), noise(1, 100))
		})
	})
}

// Errors that have nothing to do with Root are those of names without it.
//
//promise:snapshot.Config.Root a name inside Root has the errors that it has without Root
func TestRootErrors(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		withAndWithoutOpenat2(t, dir, func(t *testing.T, dir string) {
			write(t, join(dir, "base"), noise(1, 100))
			must(t, os.Mkdir(join(dir, "sub"), 0o755))
			must(t, unix.Mkfifo(join(dir, "fifo"), 0o644))
			must(t, os.Symlink("loop", join(dir, "loop")))
			must(t, os.Symlink("none", join(dir, "dangling")))
			must(t, os.Symlink("base/", join(dir, "slash")))
			c := snapshot.Config{Root: openRoot(t, dir)}
			m, err := c.OpenMut(context.Background(), "base")
			must(t, err)
			defer m.Close()
			plain, err := snapshot.OpenMut(join(dir, "base"))
			must(t, err)
			defer plain.Close()
			for _, call := range rootCalls {
				for _, name := range []string{
					"base/", "base/x", "base/.", "sub", "sub/", "sub/.", ".", "fifo", "loop",
					"loop/x", "slash", "dangling/x", "none/x", "none/", "a\x00b",
				} {
					err := call.do(c, m, name)
					want := call.do(snapshot.Config{}, plain, dir+"/"+name)
					if err == nil || want == nil || causeOf(err).Error() != causeOf(want).Error() {
						t.Errorf("%s %q: %v, want %v", call.name, name, err, want)
					}
				}
				err := call.do(c, m, "")
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s of no name: %v", call.name, err)
				}
			}
			wantNames(t, dir, "base", "dangling", "fifo", "loop", "slash", "sub")
		})
	})
}

// causeOf returns the errno in an error, or the innermost error: system calls have other names.
func causeOf(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err
}

// After Close of Root, each call that looks up a name fails. An open snapshot stays open and can be
// committed.
//
//promise:snapshot.Config.Root after Root.Close, calls that look names up are fs.ErrClosed
//promise:snapshot.Config.Root a MmapMut can be committed after Root.Close
func TestRootClosed(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		withAndWithoutOpenat2(t, dir, func(t *testing.T, dir string) {
			write(t, join(dir, "base"), noise(1, 100))
			root := openRoot(t, dir)
			c := snapshot.Config{Root: root}
			m, err := c.OpenMut(context.Background(), "base")
			must(t, err)
			defer m.Close()
			must(t, root.Close())
			for _, call := range rootCalls {
				for _, name := range []string{"base", "new", "/", "", "../x"} {
					if err := call.do(c, m, name); !errors.Is(err, fs.ErrClosed) {
						t.Errorf("%s %q: %v", call.name, name, err)
					}
				}
			}
			must(t, m.Resize(10))
			must(t, m.Commit())
			must(t, m.CommitAndClose())
			wantFile(t, join(dir, "base"), noise(1, 100)[:10])
			wantNames(t, dir, "base")
		})
	})
}

// The directory of a MmapMut and the root can be moved.
//
//promise:snapshot.Config.Root a MmapMut stays with its directory, which may have left Root
//promise:snapshot.Config.Root names are looked up below Root wherever it was moved
func TestRootMoved(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		withAndWithoutOpenat2(t, dir, func(t *testing.T, dir string) {
			must(t, os.MkdirAll(join(dir, "root/sub"), 0o755))
			write(t, join(dir, "root/sub/f"), noise(1, 100))
			c := snapshot.Config{Root: openRoot(t, join(dir, "root"))}
			m, err := c.OpenMut(context.Background(), "sub/f")
			must(t, err)
			defer m.Close()
			must(t, os.Rename(join(dir, "root"), join(dir, "moved")))
			must(t, os.Rename(join(dir, "moved/sub"), join(dir, "out")))
			must(t, os.Mkdir(join(dir, "root"), 0o755)) // of the old name, and not the root
			must(t, m.Resize(10))
			must(t, m.Commit())
			wantFile(t, join(dir, "out/f"), noise(1, 100)[:10])
			must(t, m.CommitTo("to"))
			must(t, m.Link("linked"))
			if err := m.CommitTo("sub/f"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("CommitTo into a directory that has left: %v", err)
			}
			wantNames(t, join(dir, "moved"), "linked", "to")
			wantNames(t, join(dir, "root"))
			wantNames(t, join(dir, "out"), "f")
		})
	})
}

// FromFile takes files from anywhere, and private files go to TempDir, whatever Root is.
//
//promise:snapshot.Config.Root FromFile ignores Root, also a closed one
//promise:snapshot.Config.Root TempDir need not be below Root
func TestRootIsNotForFiles(t *testing.T) {
	dir := mounttest.Dir(t, mounttest.Host)
	mounttest.Leaks(t)
	must(t, os.Mkdir(join(dir, "root"), 0o755))
	must(t, os.Mkdir(join(dir, "tmp"), 0o755))
	write(t, join(dir, "outside"), noise(1, 100))
	write(t, join(dir, "root/f"), noise(2, 100))
	root := openRoot(t, join(dir, "root"))
	c := snapshot.Config{Root: root, TempDir: join(dir, "tmp")}
	defer systest.NoTmpfile()()
	m, err := c.Open(context.Background(), "f")
	must(t, err)
	wantContents(t, m, noise(2, 100))
	must(t, m.Close())
	must(t, root.Close())
	m, err = c.FromFile(context.Background(), openFile(t, join(dir, "outside"), os.O_RDONLY))
	must(t, err)
	wantContents(t, m, noise(1, 100))
	must(t, m.Close())
}

// With openat2, the depth of a name costs no call.
//
//promise:snapshot.Config.Root a name of any depth is looked up by one call
func TestRootCalls(t *testing.T) {
	dir := mounttest.Dir(t, mounttest.Memory)
	must(t, os.MkdirAll(join(dir, "a/b/c/d/e"), 0o755))
	write(t, join(dir, "a/b/c/d/e/f"), noise(1, 100))
	if fd, err := unix.Openat2(unix.AT_FDCWD, dir, &unix.OpenHow{Flags: unix.O_PATH}); err == nil {
		must(t, unix.Close(fd))
	} else {
		t.Skip("this kernel has no openat2")
	}
	c := snapshot.Config{Root: openRoot(t, dir)}
	calls := systest.CountCalls(t)
	m, err := c.Open(context.Background(), "a/b/c/d/e/f")
	must(t, err)
	must(t, m.Close())
	if openat2, openPath := calls("openat2"), calls("openpath"); openat2 != 1 || openPath != 1 {
		t.Errorf("%d calls of openat2, %d of openat", openat2, openPath)
	}
}
