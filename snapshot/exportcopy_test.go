package snapshot

import (
	"errors"
	"testing"
)

// CopyByHand lets the kernel know neither reflinks nor copy_file_range until the test ends, so that
// data are copied by reading and writing.
func CopyByHand(tb testing.TB) {
	clone, copyRange := SysFiclone, SysCopyFileRange
	SysFiclone = func(int, int) error { return errors.ErrUnsupported }
	SysCopyFileRange = func(int, int64, int, int64, int) (int, error) { return 0, errors.ErrUnsupported }
	tb.Cleanup(func() { SysFiclone, SysCopyFileRange = clone, copyRange })
}
