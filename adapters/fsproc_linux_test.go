package adapters_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Without /proc, FS opens no file, and says so; the file is not taken for one that is missing.
//
//promise:adapters.FS without /proc opening a file is errors.ErrUnsupported
func TestFSWithoutProc(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	mounttest.Leaks(t)
	dir := t.TempDir()
	put(t, dir, "f", []byte("contents"))
	fsys := newFS(t, dir, snapshot.Config{})
	mounttest.OnThread(t, func() error {
		if err := mounttest.HideProc(); err != nil {
			return err
		}
		if _, err := fsys.Open("f"); !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Open: %v", err)
		}
		_, err := fs.Stat(fsys, "f")
		return err
	})
}
