package benchmarks

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/exp/mmap"
)

func TestMain(m *testing.M) { mounttest.Main(m) }

var kinds = []string{"xfs", "btrfs", "ext4", "tmpfs"}

// file makes a file of size bytes, on the disk already.
func file(b *testing.B, dir string, size int) string {
	b.Helper()
	name := filepath.Join(dir, "f")
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	return name
}

// bare does with the kernel alone what opening and closing a snapshot by reflink has to do: it
// is the limit.
func bare(b *testing.B, name string, size int) {
	src, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	dir, err := syscalls.OpenDir(syscalls.AtFdcwd, filepath.Dir(name))
	if err != nil {
		b.Fatal(err)
	}
	dst, err := syscalls.Tmpfile(dir, 0)
	if err != nil {
		b.Fatal(err)
	}
	if err := syscalls.Ficlone(dst, int(src.Fd())); err != nil {
		b.Fatal(err)
	}
	mem, err := syscalls.Mmap(dst, size, false)
	if err != nil {
		b.Fatal(err)
	}
	_ = src.Close()
	_ = syscalls.Close(dir)
	_ = syscalls.Close(dst)
	_ = syscalls.Munmap(mem)
}

// BenchmarkOpen opens and closes a file that is clean and of few extents, in turn with the bare
// system calls, and reports the medians and their ratio.
func BenchmarkOpen(b *testing.B) {
	for _, kind := range kinds[:2] {
		for _, size := range []int{4 << 10, 1 << 20, 1 << 30} {
			b.Run("fs="+kind+"/size="+strconv.Itoa(size), func(b *testing.B) {
				name := file(b, mounttest.Dir(b, kind), size)
				var limit, ours []time.Duration
				b.ReportAllocs()
				for b.Loop() {
					start := time.Now()
					bare(b, name, size)
					limit = append(limit, time.Since(start))
					start = time.Now()
					m, err := snapshot.Open(name)
					if err != nil {
						b.Fatal(err)
					}
					_ = m.Close()
					ours = append(ours, time.Since(start))
				}
				slices.Sort(limit)
				slices.Sort(ours)
				l, o := limit[len(limit)/2], ours[len(ours)/2]
				b.ReportMetric(float64(l.Nanoseconds()), "bare-ns/op")
				b.ReportMetric(float64(o.Nanoseconds()), "snapshot-ns/op")
				b.ReportMetric(float64(o)/float64(l), "snapshot/bare")
			})
		}
	}
}

// A readerAt is what is compared.
type readerAt interface {
	ReadAt(p []byte, off int64) (int, error)
	Close() error
}

// BenchmarkReadAt reads at random from a file whose pages are all in memory, on one goroutine and
// on one for each core.
func BenchmarkReadAt(b *testing.B) {
	const fileSize = 16 << 20
	for _, kind := range kinds {
		b.Run("fs="+kind, func(b *testing.B) {
			name := file(b, mounttest.Dir(b, kind), fileSize)
			for _, size := range []int{64, 4 << 10, 64 << 10} {
				for _, way := range []struct {
					name string
					open func() (readerAt, error)
				}{
					{"os.File", func() (readerAt, error) { return os.Open(name) }},
					{"exp-mmap", func() (readerAt, error) { return mmap.Open(name) }},
					{"Mmap", func() (readerAt, error) { return snapshot.Open(name) }},
					{"MmapMut", func() (readerAt, error) { return snapshot.OpenMut(name) }},
				} {
					b.Run("size="+strconv.Itoa(size)+"/way="+way.name, func(b *testing.B) {
						r, err := way.open()
						if err != nil {
							b.Fatal(err)
						}
						defer r.Close()
						if _, err := r.ReadAt(make([]byte, fileSize), 0); err != nil {
							b.Fatal(err)
						}
						b.Run("goroutines=1", func(b *testing.B) {
							read := reading(b, r, size, fileSize)
							for b.Loop() {
								read()
							}
						})
						// Whatever readers write to in common would show here, on several cores.
						b.Run("goroutines="+strconv.Itoa(runtime.GOMAXPROCS(0)), func(b *testing.B) {
							b.RunParallel(func(pb *testing.PB) {
								read := reading(b, r, size, fileSize)
								for pb.Next() {
									read()
								}
							})
						})
					})
				}
			}
		})
	}
}

// reading returns a function that reads size bytes somewhere.
func reading(b *testing.B, r readerAt, size, fileSize int) func() {
	b.SetBytes(int64(size))
	b.ReportAllocs()
	p, rnd := make([]byte, size), rand.New(rand.NewPCG(rand.Uint64(), 2))
	return func() {
		if _, err := r.ReadAt(p, rnd.Int64N(int64(fileSize-size))); err != nil {
			b.Error(err)
		}
	}
}
