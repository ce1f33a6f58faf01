package pathname

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Below a root, a name resolves to what it does for os.Root, or fails with the same error.
func TestResolveBelowRoot(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		mounttest.Leaks(t)
		dir, root := newRoot(t)
		at := func(name string) string { return filepath.Join(dir, "root", name) }
		for name, want := range map[string]string{
			"file": "file", "./file": "file", "sub/../file": "file", "sub/deep/../../file": "file",
			"link": "sub/file", "sub/up": "file", "sub/deep/up": "sub/file",
			"dirlink/../file": "sub/file", "dirlink/up": "sub/file", "sub//file": "sub/file", "self/self/sub/dirup/file": "file",
			"sub/dirup/sub/./file": "sub/file", "sub/long": "sub/file",
		} {
			for _, create := range []bool{false, true} {
				p, err := Resolve(root, name, create)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				wantAt(t, p, filepath.Dir(at(want)), filepath.Base(want), at(want))
				p.Close()
			}
		}
		for _, name := range []string{
			"..", "../root/file", "sub/../../outside", "sub/../..", "out", "sub/out",
			"dirout/outside", "absolute", at("file"), "/", "//", "dirlink/../../../outside", "dirout", "danglingout",
			"sub/dirup/../outside", "dirout/", "out/", "/.", "../", "../.", "dirlink/../../..",
		} {
			_, want := root.Stat("..")
			for _, create := range []bool{false, true} {
				_, err := Resolve(root, name, create)
				if bare(want) != err || err.Error() != "path escapes from parent" ||
					errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("%s: %v, want %v", name, err, want)
				}
			}
			// In Go 1.26.0, os.Root itself follows a link that leads out if a slash follows.
			_, err := root.Stat(name)
			if bare(err) != bare(want) && !strings.HasSuffix(name, "/") {
				t.Errorf("%s: os.Root: %v", name, err)
			}
		}
		for name, want := range map[string]error{
			"": syscall.ENOENT, "none": syscall.ENOENT, "none/file": syscall.ENOENT,
			"file/": syscall.ENOTDIR, "file/.": syscall.ENOTDIR, "file/..": syscall.ENOTDIR,
			"file/file": syscall.ENOTDIR, "link/": syscall.ENOTDIR, "link/file": syscall.ENOTDIR,
			"link/../file": syscall.ENOTDIR, "slash": syscall.ENOTDIR,
			"loop": syscall.ELOOP, "sub/loop": syscall.ELOOP, "loop/file": syscall.ELOOP,
			"dangling": syscall.ENOENT, "sub": syscall.EISDIR, "sub/": syscall.EISDIR,
			".": syscall.EISDIR, "sub/.": syscall.EISDIR, "sub/..": syscall.EISDIR,
			"dirlink": syscall.EISDIR, "dirlink/": syscall.EISDIR, "sub/dirup": syscall.EISDIR,
			"a\x00b": syscall.EINVAL, strings.Repeat("x", 300): syscall.ENAMETOOLONG,
		} {
			if p, err := Resolve(root, name, false); !errors.Is(err, want) {
				t.Errorf("%q: %v, %v, want %v", name, p, err, want)
			}
		}
		for name, want := range map[string]string{
			"dangling": "sub/new", "new": "new", "sub/new": "sub/new", "dirlink/../new": "sub/new",
		} {
			p, err := Resolve(root, name, true)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			wantAt(t, p, filepath.Dir(at(want)), filepath.Base(want), "")
			p.Close()
		}
	})
}

// Lookup does not follow the last symbolic link, and finds something under names that end with "."
// or "..", below the root only.
func TestLookupBelowRoot(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		mounttest.Leaks(t)
		_, root := newRoot(t)
		for name, want := range map[string]fs.FileMode{
			"out": fs.ModeSymlink, "dangling": fs.ModeSymlink, "sub/out": fs.ModeSymlink,
			".": fs.ModeDir, "sub/..": fs.ModeDir, "sub/.": fs.ModeDir, "file": 0,
		} {
			p, err := Lookup(root, name, true)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if p.FD < 0 || p.Stat.Mode.Type() != want {
				t.Errorf("%s: %+v", name, p)
			}
			p.Close()
		}
		for _, name := range []string{
			"..", "sub/../..", "dirout/..", "dirout/new", "../new", "/new",
		} {
			p, err := Lookup(root, name, true)
			wantEscape(t, name, p, err)
		}
	})
}

// After Close of the root, each name is fs.ErrClosed.
func TestClosedRoot(t *testing.T) {
	mounttest.Leaks(t)
	_, root := newRoot(t)
	_ = root.Close()
	for _, name := range []string{"file", "", "/", "..", "none"} {
		if _, err := Resolve(root, name, true); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Resolve %q: %v", name, err)
		}
		if _, err := Lookup(root, name, true); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Lookup %q: %v", name, err)
		}
	}
}

// Links of /proc that are not names, which openat2 reports as ELOOP, are what they are for os.Root.
func TestMagicLinks(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		root, err := os.OpenRoot("/proc")
		if err != nil {
			t.Skip(err)
		}
		defer root.Close()
		mounttest.Leaks(t)
		f, err := os.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		byFD := fmt.Sprintf("self/fd/%d/f", f.Fd())
		for _, name := range []string{"self/cwd/f", "self/root", byFD} {
			p, err := Resolve(root, name, true)
			wantEscape(t, name, p, err)
		}
		// A link that is a name: the file is found, but cannot be copied.
		if _, err := Resolve(root, "self/status", false); !errors.Is(err, ErrSizeUnknown) {
			t.Fatal(err)
		}
	})
}

// Where the two ways of following a link disagree because of a rename, the name is resolved again.
func TestResolveAgain(t *testing.T) {
	mounttest.Leaks(t)
	dir, root := newRoot(t)
	link := filepath.Join(dir, "root/link")
	target, other := "file", "sub/file"
	turn := func() {
		if err := errors.Join(os.Remove(link), os.Symlink(target, link)); err != nil {
			t.Fatal(err)
		}
		target, other = other, target
	}
	for _, turns := range []int{0, 1, 2, 1 << 20} {
		n, opened := 0, 0
		undo := systest.Intercept(t, func(call string) error {
			if call != "openat2" {
				return nil
			}
			// Of three calls, the second follows the link, which is open by then.
			if opened++; opened%3 == 2 && n < turns {
				n++
				turn()
			}
			return nil
		})
		p, err := Resolve(root, "link", false)
		undo()
		if err != nil {
			t.Fatal(err)
		}
		if agreed := p.DirFD != NoDir; agreed != (turns < 1<<20) {
			t.Errorf("%d turns: directory %d", turns, p.DirFD)
		}
		if n != min(turns, retry.Attempts) {
			t.Errorf("%d turns: resolved %d times", turns, n)
		}
		st, err := sys.Fstat(p.FD)
		if err != nil || !SameInode(st, p.Stat) {
			t.Errorf("file %+v, %v", st, err)
		}
		p.Close()
	}
}
