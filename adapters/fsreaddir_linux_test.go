package adapters_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// An entry of a directory describes what Lstat of FS describes, and nothing outside, also if the
// directory was exchanged for a symbolic link since it was read.
//
//promise:adapters.FS.ReadDir the Info of an entry is that of Lstat, and never of a file outside
func TestReadDirInfo(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		for _, sub := range []string{"root/sub", "outside"} {
			if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		put(t, dir, "root/sub/file", []byte("inside"))
		put(t, dir, "outside/file", []byte("outside, and longer"))
		fsys := newFS(t, filepath.Join(dir, "root"), snapshot.Config{})
		opened, err := fsys.Open("sub")
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Close()
		byFile, err := opened.(fs.ReadDirFile).ReadDir(-1)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := fsys.ReadDir("sub")
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, byFile...)
		if len(entries) != 2 {
			t.Fatalf("%d entries", len(entries))
		}
		want, err := fsys.Lstat("sub/file")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil || info.Size() != want.Size() || !info.ModTime().Equal(want.ModTime()) ||
				info.Name() != "file" || e.Type() != 0 {
				t.Errorf("%v: %v, %v; want %v", e, info, err, want)
			}
		}
		for _, change := range []error{
			os.Rename(filepath.Join(dir, "root/sub"), filepath.Join(dir, "root/moved")),
			os.Symlink(filepath.Join(dir, "outside"), filepath.Join(dir, "root/sub")),
		} {
			if change != nil {
				t.Fatal(change)
			}
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil || !strings.Contains(err.Error(), "escapes") {
				t.Errorf("%v, %v, of a file outside", info, err)
			}
		}
	})
}
