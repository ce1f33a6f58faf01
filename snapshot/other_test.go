//go:build !linux

package snapshot_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// Off Linux everything says that it is not supported.
func TestUnsupported(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, openErr := snapshot.Open(name)
	_, mutErr := snapshot.OpenMut(name)
	_, createErr := snapshot.Create(name)
	_, fileErr := snapshot.FromFile(f)
	for _, err := range []error{openErr, mutErr, createErr, fileErr} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
	}
}
