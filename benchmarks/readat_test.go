package benchmarks

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A readerAt is what is compared.
type readerAt interface {
	io.ReaderAt
	io.Closer
}

// An opener opens the file name in one way.
type opener struct {
	name string
	open func(name string) (readerAt, error)
}

var openers = []opener{
	{"os.File", func(name string) (readerAt, error) { return os.Open(name) }},
	{"mapping", func(name string) (readerAt, error) { return openMapping(name) }},
	{"MmapMut", func(name string) (readerAt, error) { return snapshot.OpenMut(name) }},
	{"Mmap", func(name string) (readerAt, error) { return snapshot.Open(name) }},
}

// inMemory is the limit: bytes on the heap.
var inMemory = opener{"memory", func(name string) (readerAt, error) {
	p, err := os.ReadFile(name)
	return struct {
		io.ReaderAt
		io.Closer
	}{bytes.NewReader(p), io.NopCloser(nil)}, err
}}

// BenchmarkReadAt reads at random, on one goroutine and on one for each core. Hot is what is in
// memory; cold is a file of which nothing is in the page cache of the filesystem under test
// (that of the machine below its loop device has it), 256 reads at a time.
func BenchmarkReadAt(b *testing.B) {
	sizes := []int64{64, 4 * kib, 64 * kib}
	if !testing.Short() {
		sizes = []int64{64, 512, 4 * kib, 16 * kib, 64 * kib, mib}
	}
	each(b, mounttest.Known, func(b *testing.B, kind *mounttest.Kind, dir string) {
		const hot, cold = 16 * mib, 64 * mib
		name := file(b, dir, "hot", hot)
		for _, size := range sizes {
			for _, g := range goroutines() {
				b.Run(fmt.Sprintf("size=%d/cache=hot/goroutines=%d", size, g), func(b *testing.B) {
					readingHot(b, name, hot, size, g).Bench(b)
				})
			}
		}
		if !kind.Has(mounttest.Reflinks) {
			return
		}
		name = file(b, dir, "cold", cold)
		for _, size := range []int64{4 * kib, 64 * kib} {
			for _, g := range goroutines() {
				b.Run(fmt.Sprintf("size=%d/cache=cold/goroutines=%d", size, g), func(b *testing.B) {
					readingCold(b, name, cold, size, g).Bench(b)
				})
			}
		}
	})
}

// goroutines returns the numbers of them to measure with. Whatever readers write to in common
// would show with one for each core.
func goroutines() []int {
	if n := runtime.GOMAXPROCS(0); n > 1 {
		return []int{1, n}
	}
	return []int{1}
}

// readingHot compares reads of size bytes from a file that is read once ahead.
func readingHot(tb testing.TB, name string, fileSize, size int64, g int) interleave.Comparison {
	c := interleave.Comparison{Bytes: size}
	for _, o := range append([]opener{inMemory}, openers...) {
		r, err := o.open(name)
		check(tb, err)
		tb.Cleanup(func() { closing(tb, r) })
		warm(tb, r, fileSize)
		c.Ways = append(c.Ways, interleave.Way{Name: o.name, Do: func(n int) {
			parallel(g, n, func(n int) { readSome(tb, r, n, size, fileSize) })
		}})
	}
	return c
}

// warm reads a file twice: once by system calls, as a snapshot does the first time, and once by
// touching the mapping, if there is one, which fills the page tables.
func warm(tb testing.TB, r io.ReaderAt, size int64) {
	p := make([]byte, size)
	for range 2 {
		_, err := r.ReadAt(p, 0)
		check(tb, err)
	}
}

// readingCold compares reads of size bytes from files of which nothing is in memory.
func readingCold(tb testing.TB, name string, fileSize, size int64, g int) interleave.Comparison {
	c := interleave.Comparison{Bytes: size, Batch: 256}
	for _, o := range openers {
		r := reopened(tb, o, name)
		c.Ways = append(c.Ways, interleave.Way{Name: o.name, Before: r.cold, Do: func(n int) {
			parallel(g, n, func(n int) { readSome(tb, r, n, size, fileSize) })
		}})
	}
	return c
}

// A reopener is opened anew on a cold file each time.
type reopener struct {
	readerAt
	cold func()
}

func reopened(tb testing.TB, o opener, name string) *reopener {
	r := &reopener{}
	r.cold = func() {
		if r.readerAt != nil {
			closing(tb, r.readerAt)
		}
		var err error
		r.readerAt, err = o.open(cold(tb, name))
		check(tb, err)
	}
	tb.Cleanup(func() {
		if r.readerAt != nil {
			closing(tb, r.readerAt)
		}
	})
	return r
}

// parallel shares n operations out to g goroutines.
func parallel(g, n int, f func(n int)) {
	if g == 1 {
		f(n)
		return
	}
	var wg sync.WaitGroup
	for i := range g {
		wg.Go(func() { f((n + i) / g) })
	}
	wg.Wait()
}

// readSome reads size bytes n times, somewhere.
func readSome(tb testing.TB, r io.ReaderAt, n int, size, fileSize int64) {
	p, rnd := make([]byte, size), rand.New(rand.NewPCG(rand.Uint64(), 2))
	for range n {
		if _, err := r.ReadAt(p, rnd.Int64N(fileSize-size)); err != nil {
			tb.Error(err)
		}
	}
}
