package benchmarks

import (
	"fmt"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// BenchmarkHTTP gets a resident file over the loopback interface. http.FileServerFS over an FS copies
// through a buffer; a Handler hands the memory to the kernel; os.DirFS uses sendfile(2). For 64 MiB, a
// Handler is to have at least 0.9 times the throughput of os.DirFS, and FileServerFS over an FS is to
// take at most 1.45 times as long: see guardHTTP.
func BenchmarkHTTP(b *testing.B) {
	each(b, mounttest.Known, func(b *testing.B, _ *mounttest.Kind, dir string) {
		for _, size := range []int64{10_000, mib, 64 * mib} {
			b.Run(fmt.Sprint("size=", size), func(b *testing.B) { gettingHTTP(b, dir, size).Bench(b) })
		}
	})
}
