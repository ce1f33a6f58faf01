package benchmarks

import (
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// BenchmarkFault is what no library can better: the first store into each page of memory that is
// mapped, without a file, and to a file whose pages are in memory; beside a pwrite of the page. On
// virtual machines the first two take up to a hundred times as long as on others.
func BenchmarkFault(b *testing.B) {
	const size = 4 * mib
	each(b, mounttest.Known, func(b *testing.B, _ *mounttest.Kind, dir string) {
		f, err := os.OpenFile(file(b, dir, "f", size), os.O_RDWR, 0)
		check(b, err)
		defer closing(b, f)
		var mem []byte
		unmap := func() {
			if mem != nil {
				check(b, unix.Munmap(mem))
			}
		}
		defer func() { unmap() }()
		touch := func(n int) {
			for i := range n {
				mem[i*page] = 1
			}
		}
		p := make([]byte, page)
		interleave.Comparison{Batch: size / page, Ways: []interleave.Way{
			{Name: "memory", Do: touch, Before: func() {
				unmap()
				mem, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
				check(b, err)
				check(b, unix.Madvise(mem, unix.MADV_NOHUGEPAGE))
			}},
			{Name: "mapped", Do: touch, Before: func() {
				unmap()
				mem, err = unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
				check(b, err)
			}},
			{Name: "pwrite", Before: func() {}, Do: func(n int) {
				for i := range n {
					_, err := f.WriteAt(p, int64(i*page))
					check(b, err)
				}
			}},
		}}.Bench(b)
	})
}
