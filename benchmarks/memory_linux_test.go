package benchmarks

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// BenchmarkMemory reports what a file of 16 MiB that is open takes of memory, beside the page
// cache of the file itself, before and after all of it was read twice. heap is Go's; mapped is
// what this process has of files in its page tables; and cache are the pages of a private copy
// in the page cache, which a snapshot has for itself and may lose when memory is short.
func BenchmarkMemory(b *testing.B) {
	const size, count = 16 * mib, 8
	each(b, mounttest.Known, func(b *testing.B, _ *mounttest.Kind, dir string) {
		name := file(b, dir, "f", size)
		ways := append([]opener{{"os.ReadFile", inMemory.open}}, openers...)
		for _, read := range []bool{false, true} {
			for _, o := range ways {
				b.Run("read="+strconv.FormatBool(read)+"/way="+o.name, func(b *testing.B) {
					var heap, mapped, cache int64
					p := make([]byte, mib)
					for b.Loop() {
						heap0, mapped0 := used(b)
						var all []readerAt
						for range count {
							r, err := o.open(name)
							check(b, err)
							if read {
								scan(b, r, size, p)
								scan(b, r, size, p)
							}
							all = append(all, r)
						}
						heap1, mapped1 := used(b)
						heap += (heap1 - heap0) / count
						mapped += (mapped1 - mapped0) / count
						for _, r := range all {
							cache += cached(b, r) / count
							closing(b, r)
						}
					}
					n := float64(b.N)
					b.ReportMetric(float64(heap)/n, "heap-B")
					b.ReportMetric(float64(mapped)/n, "mapped-B")
					b.ReportMetric(float64(cache)/n, "cache-B")
				})
			}
		}
	})
}

// used returns how much of the heap is in use, and how much of files is mapped and in memory.
func used(tb testing.TB) (heap, mapped int64) {
	runtime.GC()
	time.Sleep(10 * time.Millisecond) // what was found unreachable has cleanups
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	status, err := os.ReadFile("/proc/self/status")
	check(tb, err)
	for line := range bytes.Lines(status) {
		var k int64
		if f := bytes.Fields(line); len(f) == 3 && (string(f[0]) == "RssFile:" || string(f[0]) == "RssShmem:") {
			k, err = strconv.ParseInt(string(f[1]), 10, 64)
			check(tb, err)
		}
		mapped += k << 10
	}
	return int64(m.HeapAlloc), mapped
}

// cached returns how much of a private copy is in the page cache.
func cached(tb testing.TB, r readerAt) int64 {
	var mem []byte
	switch m := r.(type) {
	case *snapshot.Mmap:
		mem = m.Bytes()
	case *snapshot.MmapMut:
		mem = m.Bytes()
	default: // has the file's own, or is on the heap
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
