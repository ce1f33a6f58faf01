package snapshot_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// If the directory was removed, a commit says so, whatever errno the filesystem has for it.
//
//promise:snapshot.MmapMut.Commit if the directory was removed, Commit is fs.ErrNotExist
func TestCommitDirectoryRemoved(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		sub := join(dir, "sub")
		must(t, os.Mkdir(sub, 0o777))
		write(t, join(sub, "f"), []byte("old"))
		m := openMut(t, join(sub, "f"))
		must(t, os.RemoveAll(sub))
		for _, commit := range []func() error{m.Commit, m.CommitAndClose} {
			if err := commit(); !errors.Is(err, syscall.ENOENT) {
				t.Errorf("%v", err)
			}
		}
		wantContents(t, m, []byte("old"))
		must(t, m.CommitTo(join(dir, "f")))
		wantFile(t, join(dir, "f"), []byte("old"))
	})
}
