package consumers

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// The tree has directories, symbolic links, an empty file and a large one. The error of a file that
// is not there is one that os.IsNotExist knows, which unwraps less than errors.Is, and SameFile
// knows the file again.
func TestFSTest(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		put(t, dir, "empty", nil)
		put(t, dir, "d/e/large", noise(200_000))
		must(t, os.Symlink("d/e/large", filepath.Join(dir, "link")))
		must(t, os.Symlink("d", filepath.Join(dir, "directory")))
		fsys := newFS(t, dir)
		must(t, fstest.TestFS(fsys, "empty", "d/e/large", "link", "directory"))
		if _, err := fsys.Open("missing"); !os.IsNotExist(err) {
			t.Errorf("os.IsNotExist is false for %v", err)
		}
		for _, name := range []string{"empty", "link", "d"} {
			f, err := fsys.Open(name)
			must(t, err)
			got, err := f.Stat()
			must(t, err)
			must(t, f.Close())
			like, err := os.Stat(filepath.Join(dir, name))
			must(t, err)
			if !adapters.SameFile(got, like) {
				t.Errorf("SameFile is false for %s", name)
			}
		}
	})
}
