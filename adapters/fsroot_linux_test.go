package adapters_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// withAndWithoutOpenat2 runs f twice, the second time where openat2 fails as on a kernel that lacks
// it. f runs on another goroutine then, and must not start one.
func withAndWithoutOpenat2(t *testing.T, f func(way string)) {
	f("openat2")
	mounttest.OnThread(t, func() error {
		if err := mounttest.Refuse(unix.SYS_OPENAT2, syscall.ENOSYS); err != nil {
			return err
		}
		f("by hand")
		return nil
	})
}

// The directory of an FS can be below an os.Root, which may be closed then. The FS does not lead
// out of its own directory.
//
//promise:adapters.NewFS with Config.Root, the directory is below it, and Root may be closed then
func TestFSBelowRoot(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		if err := os.MkdirAll(filepath.Join(dir, "root/tree"), 0o755); err != nil {
			t.Fatal(err)
		}
		put(t, dir, "root/tree/f", []byte("contents"))
		put(t, dir, "root/secret", []byte("secret"))
		for link, target := range map[string]string{"link": "f", "out": "../secret"} {
			if err := os.Symlink(target, filepath.Join(dir, "root/tree", link)); err != nil {
				t.Fatal(err)
			}
		}
		root, err := os.OpenRoot(filepath.Join(dir, "root"))
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		for _, name := range []string{"..", "../root", filepath.Join(dir, "root/tree"), "none"} {
			if fsys, err := adapters.NewFS(name, snapshot.Config{Root: root}); err == nil {
				t.Errorf("NewFS of %s", name)
				_ = fsys.Close()
			}
		}
		fsys := newFS(t, "tree", snapshot.Config{Root: root})
		if err := root.Close(); err != nil {
			t.Fatal(err)
		}
		_, err = adapters.NewFS("tree", snapshot.Config{Root: root})
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("after Close of the root: %v", err)
		}
		for _, name := range []string{"f", "link"} {
			if got := contents(t, fsys, name); string(got) != "contents" {
				t.Errorf("%s holds %q", name, got)
			}
		}
		if _, err := fsys.Open("out"); err == nil {
			t.Error("it leads out")
		}
	})
}

// With openat2 and without it, names lead to the same files, with the same errors.
//
//promise:adapters.FS.Open where openat2 is not available, the results are the same
func TestFSWithoutOpenat2(t *testing.T) {
	dir := mounttest.Dir(t, mounttest.Host)
	mounttest.Leaks(t)
	if err := os.MkdirAll(filepath.Join(dir, "root/sub/deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "root/f", []byte("contents"))
	put(t, dir, "secret", []byte("secret"))
	for link, target := range map[string]string{
		"link": "sub/up", "sub/up": "../f", "dirlink": "sub/deep", "dangling": "none",
		"loop": "loop", "out": "../secret", "sub/out": "../../secret", "dirout": "..",
		"absolute": filepath.Join(dir, "root/f"),
	} {
		if err := os.Symlink(target, filepath.Join(dir, "root", link)); err != nil {
			t.Fatal(err)
		}
	}
	fsys := newFS(t, filepath.Join(dir, "root"), snapshot.Config{})
	const (
		escape = "path escapes from parent"
		loop   = "too many levels of symbolic links"
		none   = "no such file or directory"
	)
	withAndWithoutOpenat2(t, func(way string) {
		for name, want := range map[string]string{
			"f": "", "link": "", "sub/up": "", "sub": "", "dirlink": "", ".": "",
			"dangling": none, "none/f": none, "loop": loop, "loop/f": loop,
			"f/f": "not a directory", "link/f": "not a directory",
			"out": escape, "sub/out": escape, "absolute": escape, "dirout": escape,
			"dirout/secret": escape,
		} {
			f, err := fsys.Open(name)
			if err == nil {
				_ = f.Close()
			}
			if want != "" {
				want = "open " + name + ": " + want
			}
			if got := text(err); got != want {
				t.Errorf("%s: %s: %s, want %s", way, name, got, want)
			}
			if os.IsNotExist(err) != strings.HasSuffix(want, none) {
				t.Errorf("%s: %s: os.IsNotExist of %v", way, name, err)
			}
		}
	})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// While a directory and a symbolic link that leads out are exchanged, an FS reads no byte from
// outside. The control opens the same file by its plain name.
//
//promise:adapters.FS.Open beside renames of directories, nothing outside the directory is read
func TestFSBesideExchange(t *testing.T) {
	dir := mounttest.Dir(t, mounttest.Memory)
	mounttest.Leaks(t)
	for _, name := range []string{"root/d", "outside"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	plain := put(t, dir, "root/d/f", []byte("inside"))
	put(t, dir, "outside/f", []byte("outside"))
	a, b := filepath.Join(dir, "root/d"), filepath.Join(dir, "root/link")
	for link, target := range map[string]string{
		"link": "../outside", "tofile": "d/f", "up": "d/../d/f",
	} {
		if err := os.Symlink(target, filepath.Join(dir, "root", link)); err != nil {
			t.Fatal(err)
		}
	}
	swap := func() error {
		return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	}
	if err := swap(); errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) {
		t.Skipf("this kernel or filesystem does not exchange names: %v", err)
	}
	var exchanges atomic.Int64
	meanwhile(t, func(int) {
		if swap() == nil {
			exchanges.Add(1)
		}
	})
	fsys := newFS(t, filepath.Join(dir, "root"), snapshot.Config{})
	withAndWithoutOpenat2(t, func(way string) {
		tries := int64(mounttest.Count(2000, 10_000, 500_000))
		var read, refused, control int64
		exchanges.Store(0)
		enough := func() bool {
			return exchanges.Load() >= tries/10 && min(read, refused, control) >= tries/50
		}
		for i := int64(0); i < tries || !enough(); i++ {
			data, err := fsys.ReadFile([]string{"d/f", "tofile", "up"}[i%3])
			if err == nil && string(data) != "inside" {
				t.Errorf("%s: read %q", way, data)
				return
			}
			if err == nil {
				read++
			} else {
				refused++
			}
			if data, err := os.ReadFile(plain); err == nil && string(data) == "outside" {
				control++
			}
		}
		t.Logf("%s: %d exchanges, %d read, %d refused; by plain name %d escapes",
			way, exchanges.Load(), read, refused, control)
	})
}

// A link of /proc that is not a name leads out, with openat2 and without it, as it does for Stat.
//
//promise:adapters.FS.Open a link of /proc that leads out has the error of os.Root
func TestFSMagicLinks(t *testing.T) {
	if _, err := os.Stat("/proc/self/root"); err != nil {
		t.Skip(err)
	}
	mounttest.Leaks(t)
	fsys := newFS(t, "/proc", snapshot.Config{})
	withAndWithoutOpenat2(t, func(way string) {
		for _, name := range []string{"self/cwd", "self/root", "self/root/etc", "self/exe"} {
			_, want := fsys.Stat(name)
			_, err := fsys.Open(name)
			if err == nil || errors.Unwrap(err) != errors.Unwrap(want) ||
				!strings.HasSuffix(err.Error(), "path escapes from parent") {
				t.Errorf("%s: %s: %v, want %v", way, name, err, want)
			}
		}
	})
}
