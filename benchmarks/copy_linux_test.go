package benchmarks

import (
	"os"
	"os/exec"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// BenchmarkCopy opens files where there are no reflinks: 64 MiB, and 10 GiB that hold 64 MiB in
// pieces of 1 MiB, against cp. disk-MiB is what the snapshot takes of the filesystem.
//
//promise:snapshot.Config.Open a copy costs about as much as a copy by cp(1)
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
