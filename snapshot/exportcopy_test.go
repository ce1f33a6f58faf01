package snapshot

import (
	"errors"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// CopyByHand lets the kernel know neither reflinks nor copy_file_range until the test ends, so that
// data are copied by reading and writing.
func CopyByHand(tb testing.TB) {
	clone, copyRange := sys.SysFiclone, sys.SysCopyFileRange
	sys.SysFiclone = func(int, int) error { return errors.ErrUnsupported }
	sys.SysCopyFileRange = func(int, int64, int, int64, int) (int, error) { return 0, errors.ErrUnsupported }
	tb.Cleanup(func() { sys.SysFiclone, sys.SysCopyFileRange = clone, copyRange })
}
