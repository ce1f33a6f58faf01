//go:build !linux

package adapters_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// Off Linux, an FS shows directories, and opening a file fails: the error says that it needs Linux.
//
//promise:adapters.FS off Linux directories are shown and opening a file is errors.ErrUnsupported
func TestUnsupported(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("contents"), 0o600); err != nil {
		t.Fatal(err)
	}
	fsys, err := adapters.NewFS(dir, snapshot.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer fsys.Close()
	if entries, err := fs.ReadDir(fsys, "."); err != nil || len(entries) != 1 || entries[0].Name() != "f" {
		t.Errorf("ReadDir: %v, %v", entries, err)
	}
	_, openErr := fsys.Open("f")
	_, readErr := fsys.ReadFile("f")
	for _, err := range []error{openErr, readErr} {
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "needs Linux") {
			t.Error(err)
		}
	}
}
