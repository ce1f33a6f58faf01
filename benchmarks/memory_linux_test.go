package benchmarks

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"golang.org/x/exp/mmap"
)

// BenchmarkMemory reports what a file of 16 MiB that is open takes of memory, beside the page
// cache of the file itself, before and after all of it was read. heap is Go's, rss what of it is
// in this process's page tables, file pages included, and cache the pages of a private copy in
// the page cache, which a snapshot has for itself and may lose when memory is short.
func BenchmarkMemory(b *testing.B) {
	const size, count = 16 * mib, 8
	each(b, kinds, func(b *testing.B, kind, dir string) {
		name := file(b, dir, "f", size)
		ways := append([]opener{{"os.ReadFile", inMemory.open}}, openers...)
		for _, read := range []bool{false, true} {
			for _, o := range ways {
				b.Run("read="+strconv.FormatBool(read)+"/way="+o.name, func(b *testing.B) {
					var heap, rss, cache int64
					p := make([]byte, mib)
					for b.Loop() {
						heap0, rss0 := used(b)
						var all []readerAt
						for range count {
							r, err := o.open(name)
							check(b, err)
							if read {
								scan(b, r, size, p)
							}
							all = append(all, r)
						}
						heap1, rss1 := used(b)
						heap += (heap1 - heap0) / count
						rss += (rss1 - rss0) / count
						for _, r := range all {
							cache += cached(b, r) / count
							closing(b, r)
						}
					}
					n := float64(b.N)
					b.ReportMetric(float64(heap)/n, "heap-B")
					b.ReportMetric(float64(rss)/n, "rss-B")
					b.ReportMetric(float64(cache)/n, "cache-B")
				})
			}
		}
	})
}

// used returns how much of the heap is in use, and how much of the process is in memory.
func used(tb testing.TB) (heap, rss int64) {
	runtime.GC()
	runtime.GC() // what the first one found unreachable has cleanups
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	stat, err := os.ReadFile("/proc/self/statm")
	check(tb, err)
	pages, err := strconv.ParseInt(string(bytes.Fields(stat)[1]), 10, 64)
	check(tb, err)
	return int64(m.HeapAlloc), pages * int64(os.Getpagesize())
}

// cached returns how much of a private copy is in the page cache.
func cached(tb testing.TB, r readerAt) int64 {
	var mem []byte
	switch m := r.(type) {
	case *snapshot.Mmap:
		mem = m.Bytes()
	case *snapshot.MmapMut:
		mem = m.Bytes()
	case *mmap.ReaderAt, *os.File: // that of the file itself
		return 0
	default: // on the heap
		return 0
	}
	page := os.Getpagesize()
	vec := make([]byte, (len(mem)+page-1)/page)
	check(tb, syscalls.Mincore(mem, vec))
	n := 0
	for _, v := range vec {
		n += int(v & 1)
	}
	return int64(n * page)
}
