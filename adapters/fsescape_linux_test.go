package adapters_test

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// TestFSOpensNothingElse: a FIFO does not block, a device does not notice, nothing outside is
// read. A FIFO that somebody waits at goes on waiting.
//
//promise:adapters.FS.Open Open opens nothing outside the directory
//promise:adapters.FS.Open a FIFO, socket or device is fs.ErrInvalid and is not opened
func TestFSOpensNothingElse(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		put(t, dir, "secret", []byte("secret"))
		root := filepath.Join(dir, "root")
		if err := os.Mkdir(root, 0o755); err != nil {
			t.Fatal(err)
		}
		inRoot := func(name string) string { return filepath.Join(root, name) }
		if err := syscall.Mkfifo(inRoot("fifo"), 0o644); err != nil {
			t.Fatal(err)
		}
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: "/proc/self/cwd/" + relative(t, inRoot("socket")), Net: "unix"})
		if err == nil {
			defer l.Close()
		}
		_ = syscall.Mknod(inRoot("device"), syscall.S_IFCHR|0o644, 1<<8|3) // root only
		for name, target := range map[string]string{
			"tofifo": "fifo", "out": "../secret", "absolute": inRoot("../secret"), "outdir": "..", "proc": "/proc/self/fd/0",
		} {
			if err := os.Symlink(target, inRoot(name)); err != nil {
				t.Fatal(err)
			}
		}
		fsys := newFS(t, root, snapshot.Config{})
		for _, name := range []string{"fifo", "socket", "device", "tofifo"} {
			if _, err := os.Lstat(inRoot(name)); err != nil {
				continue
			}
			soon(name, func() {
				var e *fs.PathError
				if _, err := fsys.Open(name); !errors.Is(err, fs.ErrInvalid) || !errors.As(err, &e) || e.Op != "open" || e.Path != name {
					t.Errorf("%s: %v", name, err)
				}
				if _, err := fsys.ReadFile(name); !errors.Is(err, fs.ErrInvalid) {
					t.Errorf("ReadFile %s: %v", name, err)
				}
				if _, err := fsys.ReadDir(name); !errors.Is(err, syscall.ENOTDIR) {
					t.Errorf("ReadDir %s: %v", name, err)
				}
			})
		}
		for _, name := range []string{"out", "absolute", "outdir", "outdir/secret", "proc"} {
			if f, err := fsys.Open(name); err == nil {
				t.Errorf("%s led to %v", name, f)
			}
			if _, err := fsys.Stat(name); err == nil {
				t.Errorf("Stat of %s", name)
			}
			if _, err := fsys.ReadDir(name); err == nil {
				t.Errorf("ReadDir of %s", name)
			}
		}
		if target, err := fsys.ReadLink("out"); target != "../secret" || err != nil {
			t.Errorf("ReadLink: %q, %v", target, err)
		}
	})
}

func relative(t *testing.T, name string) string {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	rel, err := filepath.Rel(wd, name)
	if err != nil {
		t.Fatal(err)
	}
	return rel
}

// TestFSRace puts FIFOs, links to the outside, directories and files at one name as fast as it
// can: what is opened is what was checked.
//
//promise:adapters.FS.Open no rename during the call leads it to another file or outside
func TestFSRace(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	put(t, dir, "secret", []byte("secret"))
	root := filepath.Join(dir, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	at, next := filepath.Join(root, "x"), filepath.Join(root, "next")
	meanwhile(t, func(i int) {
		switch i % 5 {
		case 0:
			_ = syscall.Mkfifo(next, 0o644)
		case 1:
			_ = os.Symlink("../secret", next)
		case 2:
			_ = os.WriteFile(next, []byte("public"), 0o644)
		case 3:
			_ = os.Mkdir(next, 0o755)
			_ = os.Remove(at) // or the rename fails
		case 4:
			_ = os.Remove(at)
			_ = os.Symlink("other", next)
			_ = os.WriteFile(filepath.Join(root, "other"), []byte("public"), 0o644)
		}
		_ = os.Rename(next, at)
		_ = os.Remove(next)
	})
	fsys := newFS(t, root, snapshot.Config{})
	opened := 0
	for i := 0; i < mounttest.Count(5000, 50_000, 1_000_000) || opened == 0; i++ {
		var f fs.File
		var err error
		soon("Open", func() { f, err = fsys.Open("x") })
		if err != nil {
			continue
		}
		if info, err := f.Stat(); err != nil || !info.IsDir() && !info.Mode().IsRegular() {
			t.Error(info, err)
		}
		if p, err := io.ReadAll(f); err == nil && len(p) > 0 {
			opened++
			if string(p) != "public" {
				t.Errorf("read %q", p)
			}
		}
		_ = f.Close()
	}
}

// Errors of opening a file work with os.IsPermission, as with os.Open.
func TestFSPermission(t *testing.T) {
	dir := os.Getenv("TEST_DIR")
	if !mounttest.IsUserChild() {
		dir = mounttest.Dir(t, mounttest.Host)
		if err := os.Chmod(put(t, dir, "f", []byte("secret")), 0); err != nil {
			t.Fatal(err)
		}
	}
	mounttest.AsUser(t, func(t *testing.T) {
		mounttest.Leaks(t)
		_, err := newFS(t, dir, snapshot.Config{}).Open("f")
		if !os.IsPermission(err) || err.Error() != "open f: permission denied" {
			t.Error(err)
		}
	}, "TEST_DIR="+dir)
}
