//go:build !linux

package snapshot_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// Off Linux, opening fails, and the error says that it needs Linux.
//
//promise:snapshot.Config.Open off Linux Open is errors.ErrUnsupported and says that it needs Linux
//promise:snapshot off Linux every way to open fails with errors.ErrUnsupported
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
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "needs Linux") {
			t.Error(err)
		}
	}
}
