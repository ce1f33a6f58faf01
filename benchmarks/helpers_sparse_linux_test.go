package benchmarks

import (
	"math"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// sparseFile makes a file of 10 GiB, or of 1 GiB for the addresses of 32 bits, with 64 pieces of
// 1 MiB in it.
func sparseFile(tb testing.TB, dir string) string {
	every := int64(160 * mib)
	if math.MaxInt == math.MaxInt32 {
		every = 16 * mib
	}
	name := filepath.Join(dir, "sparse")
	f, err := os.Create(name)
	check(tb, err)
	defer closing(tb, f)
	piece := make([]byte, mib)
	for i := range piece {
		piece[i] = byte(i) | 1
	}
	check(tb, f.Truncate(64*every))
	for i := range int64(64) {
		_, err := f.WriteAt(piece, i*every)
		check(tb, err)
	}
	check(tb, f.Sync())
	return name
}

// diskUse returns how many bytes of its filesystem a snapshot of the file takes. The test has
// the filesystem for itself.
func diskUse(tb testing.TB, dir, name string) float64 {
	free := func() int64 {
		// So that nothing is still to be given back, or to be found a place for.
		syncDir(tb, dir)
		var st syscall.Statfs_t
		check(tb, syscall.Statfs(dir, &st))
		return int64(st.Bfree) * int64(st.Bsize)
	}
	before := free()
	m, err := snapshot.Open(name)
	check(tb, err)
	defer closing(tb, m)
	return float64(before - free())
}
