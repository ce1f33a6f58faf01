package benchmarks

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// BenchmarkCopy opens files where there are no reflinks: 64 MiB, and 10 GiB that hold 64 MiB in
// pieces of 1 MiB, against cp. disk-MiB is what the snapshot takes of the filesystem.
func BenchmarkCopy(b *testing.B) {
	each(b, mounttest.Known|mounttest.NoReflinks, func(b *testing.B, _ *mounttest.Kind, dir string) {
		dense := file(b, dir, "dense", 64*mib)
		sparse := sparseFile(b, dir)
		b.Run("file=dense", func(b *testing.B) {
			interleave.Comparison{Bytes: 64 * mib, Ways: []interleave.Way{copying(b, dense), opening(b, dense)}}.Bench(b)
			b.ReportMetric(diskUse(b, dir, dense)/mib, "disk-MiB")
		})
		b.Run("file=sparse", func(b *testing.B) {
			whole := opening(b, dense)
			whole.Name = "dense"
			interleave.Comparison{Bytes: 64 * mib, Ways: []interleave.Way{copying(b, sparse), whole, opening(b, sparse)}}.Bench(b)
			b.ReportMetric(diskUse(b, dir, sparse)/mib, "disk-MiB")
		})
	})
}

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

// copying runs cp, which takes a millisecond to start. It leaves holes out by default.
func copying(tb testing.TB, name string) interleave.Way {
	return interleave.Once("cp", func() {
		out, err := exec.Command("cp", "--reflink=never", name, name+".cp").CombinedOutput()
		if err != nil {
			tb.Fatalf("%v: %s", err, out)
		}
		check(tb, os.Remove(name+".cp"))
	})
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
