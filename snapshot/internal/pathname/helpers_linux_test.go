package pathname

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
)

// resolve returns a location that is closed when the test ends.
func resolve(t *testing.T, name string, create bool) *Location {
	t.Helper()
	p, err := Resolve(nil, name, create)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func makeFile(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(name), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantAt checks that a location has the name base in dir, and the file file, or none if that is "".
func wantAt(t *testing.T, p *Location, dir, base, file string) {
	t.Helper()
	got, err := sys.Fstat(p.DirFD)
	want, wantErr := os.Stat(dir)
	if err != nil || wantErr != nil || got.Ino != want.Sys().(*syscall.Stat_t).Ino || p.Name != base {
		t.Errorf("name %q, want %q in %s: %v, %v", p.Name, base, dir, err, wantErr)
	}
	if file == "" {
		if p.FD != -1 {
			t.Errorf("%s: there is a file", base)
		}
		return
	}
	st, err := os.Stat(file)
	if err != nil || p.FD < 0 || p.Stat.Ino != st.Sys().(*syscall.Stat_t).Ino {
		t.Errorf("%s: not %s: %v", base, file, err)
	}
}

// bothWays runs f with openat2, and with an openat2 that fails as on a kernel that lacks it.
func bothWays(t *testing.T, f func(t *testing.T)) {
	t.Run("openat2", f)
	t.Run("by hand", func(t *testing.T) {
		failOpenat2(t, func(int) error { return syscall.ENOSYS })
		f(t)
	})
}

// failOpenat2 has openat2 return the error of before, which gets the number of the call from 1 on.
func failOpenat2(t *testing.T, before func(n int) error) {
	n := 0
	systest.Intercept(t, func(call string) error {
		if call != "openat2" {
			return nil
		}
		n++
		return before(n)
	})
}

func wantEscape(t *testing.T, name string, p *Location, err error) {
	t.Helper()
	if err == nil || err.Error() != "path escapes from parent" {
		t.Errorf("%s: %v, %v", name, p, err)
	}
}

// newRoot makes a tree, and a root in it:
//
//	outside
//	root/file, root/sub/file
//	root/sub/deep/…
func newRoot(t *testing.T) (dir string, root *os.Root) {
	t.Helper()
	dir = t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "root/sub/deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"outside", "root/file", "root/sub/file"} {
		makeFile(t, filepath.Join(dir, name))
	}
	for link, target := range map[string]string{
		"link": "sub/file", "sub/up": "../file", "sub/deep/up": "../../link", "dirlink": "sub/deep",
		"out": "../outside", "sub/out": "../../outside",
		"absolute": filepath.Join(dir, "root/file"),
		"dirout":   "..", "sub/dirup": "..", "dangling": "sub/new", "loop": "sub/loop",
		"sub/loop": "../loop", "slash": "file/", "danglingout": "../new", "self": ".",
		"sub/long": strings.Repeat("./", 300) + "file",
	} {
		if err := os.Symlink(target, filepath.Join(dir, "root", link)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(filepath.Join(dir, "root"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return dir, root
}
