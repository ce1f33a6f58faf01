package adapters_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Without /proc, FS opens files by their names. Its directory is no less closed than with it, and
// what is read is shared.
//
//promise:adapters.FS without /proc files are opened by their names, and never outside
func TestFSWithoutProc(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		if err := os.MkdirAll(filepath.Join(dir, "root/d"), 0o755); err != nil {
			t.Fatal(err)
		}
		put(t, dir, "secret", []byte("secret"))
		if err := syscall.Mkfifo(filepath.Join(dir, "root/fifo"), 0o600); err != nil {
			t.Fatal(err)
		}
		for link, target := range map[string]string{"link": "d/large", "out": "../secret"} {
			if err := os.Symlink(target, filepath.Join(dir, "root", link)); err != nil {
				t.Fatal(err)
			}
		}
		small, large := random(1000), random(2*mib)
		settled(t, dir, "root/small", small)
		settled(t, dir, "root/d/large", large)
		fsys := newFS(t, filepath.Join(dir, "root"), snapshot.Config{})
		mounttest.OnThread(t, func() error {
			if err := mounttest.HideProc(); err != nil {
				return err
			}
			for name, want := range map[string][]byte{"small": small, "d/large": large, "link": large} {
				if got, err := fsys.ReadFile(name); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				}
			}
			for _, name := range []string{"out", "fifo", "none"} {
				if f, err := fsys.Open(name); err == nil {
					t.Errorf("%s was opened", name)
					_ = f.Close()
				}
			}
			_, err := fs.Stat(fsys, "small")
			return err
		})
		if known, _ := fsys.Kept(); known != 2 {
			t.Errorf("%d snapshots are kept", known)
		}
	})
}
