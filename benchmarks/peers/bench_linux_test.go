package peers

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/KarpelesLab/reflink"
	"github.com/edsrzf/mmap-go"
	"github.com/google/renameio/v2"
	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"github.com/natefinch/atomic"
	xmmap "golang.org/x/exp/mmap"
)

func TestMain(m *testing.M) { mounttest.Main(m) }

const (
	kib  = 1 << 10
	mib  = 1 << 20
	page = 4 * kib
)

func check(tb testing.TB, err error) {
	if err != nil {
		tb.Helper()
		tb.Fatal(err)
	}
}

func each(b *testing.B, f func(b *testing.B, dir string)) {
	for _, kind := range mounttest.Kinds(mounttest.Known) {
		b.Run("fs="+kind.String(), func(b *testing.B) { f(b, kind.Dir(b)) })
	}
}

// sizes returns those that a run with -short makes, or all.
func sizes(short, long []int) []int {
	if testing.Short() {
		return short
	}
	return append(short, long...)
}

// random returns size bytes.
func random(size int) []byte {
	p := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(p)
	return p
}

// file makes a file that is on the disk already.
func file(tb testing.TB, dir, base string, data []byte) string {
	name := filepath.Join(dir, base)
	f, err := os.Create(name)
	check(tb, err)
	defer f.Close()
	_, err = f.Write(data)
	check(tb, err)
	check(tb, f.Sync())
	return name
}

// mapped maps a file as mmap-go does.
func mapped(tb testing.TB, name string, prot int) (mmap.MMap, *os.File) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	check(tb, err)
	m, err := mmap.Map(f, prot, 0)
	check(tb, err)
	return m, f
}

// BenchmarkOpen opens, maps and closes a file. Only the last of the two keeps what it shows.
func BenchmarkOpen(b *testing.B) {
	each(b, func(b *testing.B, dir string) {
		for _, size := range sizes([]int{4 * kib, mib}, []int{64 * mib}) {
			b.Run(fmt.Sprint("size=", size), func(b *testing.B) {
				name := file(b, dir, "f", random(size))
				interleave.Comparison{Ways: []interleave.Way{
					interleave.Once("mmap-go", func() {
						m, f := mapped(b, name, mmap.RDONLY)
						check(b, m.Unmap())
						check(b, f.Close())
					}),
					interleave.Once("Mmap", func() {
						m, err := snapshot.Open(name)
						check(b, err)
						check(b, m.Close())
					}),
				}}.Bench(b)
			})
		}
	})
}

// BenchmarkReadAt copies pieces out of a file that is in memory. With x/exp/mmap and mmap-go that
// is copy from a slice, with nothing to guard it.
//
//promise:snapshot.Mmap.ReadAt ReadAt of resident pages costs little more than x/exp/mmap
func BenchmarkReadAt(b *testing.B) {
	const size = 16 * mib
	each(b, func(b *testing.B, dir string) {
		name := file(b, dir, "f", random(size))
		raw, f := mapped(b, name, mmap.RDONLY)
		defer f.Close()
		defer func() { check(b, raw.Unmap()) }()
		x, err := xmmap.Open(name)
		check(b, err)
		defer x.Close()
		m, err := snapshot.Open(name)
		check(b, err)
		defer m.Close()
		for _, piece := range []int{64, 4 * kib, 64 * kib} {
			b.Run(fmt.Sprint("size=", piece), func(b *testing.B) {
				way := func(name string, r io.ReaderAt) interleave.Way {
					p := make([]byte, size)
					for range 2 { // into memory, and into the page tables
						_, err := r.ReadAt(p, 0)
						check(b, err)
					}
					p, rnd := p[:piece], rand.New(rand.NewPCG(1, 2))
					return interleave.Once(name, func() { _, _ = r.ReadAt(p, rnd.Int64N(size-int64(piece))) })
				}
				interleave.Comparison{Bytes: int64(piece), Ways: []interleave.Way{
					way("os.File", f), way("exp-mmap", x), way("mmap-go", slice(raw)), way("Mmap", m),
				}}.Bench(b)
			})
		}
	})
}

// BenchmarkReadAtHot reads resident pages of one file at random offsets. x/exp/mmap maps the
// private copy of the snapshot, so that both read the same memory. raw copies from that memory.
func BenchmarkReadAtHot(b *testing.B) {
	each(b, func(b *testing.B, dir string) {
		for _, fileSize := range []int{mib, 64 * mib} {
			name := file(b, dir, "hot", random(fileSize))
			for _, size := range []int{64, 4 * kib, 64 * kib} {
				b.Run(fmt.Sprintf("file=%d/size=%d", fileSize, size), func(b *testing.B) {
					readingSame(b, name, int64(fileSize), int64(size)).Bench(b)
				})
			}
		}
	})
}

func readingSame(tb testing.TB, name string, fileSize, size int64) interleave.Comparison {
	m, err := snapshot.Open(name)
	check(tb, err)
	tb.Cleanup(func() { check(tb, m.Close()) })
	x, err := xmmap.Open(privateCopy(tb, fileSize))
	check(tb, err)
	tb.Cleanup(func() { check(tb, x.Close()) })
	mem, p := m.Bytes(), make([]byte, fileSize)
	way := func(name string, r io.ReaderAt) interleave.Way {
		for range 2 { // into memory, and into the page tables
			_, err := r.ReadAt(p, 0)
			check(tb, err)
		}
		return interleave.Way{Name: name, Do: func(n int) {
			p, at := p[:size], interleave.NewOffsets(fileSize-size)
			for range n {
				_, _ = r.ReadAt(p, at.Next())
			}
		}}
	}
	raw := interleave.Way{Name: "raw", Do: func(n int) {
		p, at := p[:size], interleave.NewOffsets(fileSize-size)
		for range n {
			copy(p, mem[at.Next():])
		}
	}}
	ways := []interleave.Way{raw, way("exp-mmap", x), way("Mmap", m)}
	return interleave.Comparison{Bytes: size, Ways: ways}
}

// privateCopy returns a name of the private copy of the one snapshot that is open: the file of that
// size that has no other name.
func privateCopy(tb testing.TB, size int64) string {
	fds, err := os.ReadDir("/proc/self/fd")
	check(tb, err)
	var found []string
	for _, fd := range fds {
		name := "/proc/self/fd/" + fd.Name()
		var st syscall.Stat_t
		if syscall.Stat(name, &st) == nil && st.Nlink == 0 && st.Size == size {
			found = append(found, name)
		}
	}
	if len(found) != 1 {
		tb.Fatalf("%d private copies of %d bytes are open, want 1: %v", len(found), size, found)
	}
	return found[0]
}

type slice []byte

func (s slice) ReadAt(p []byte, off int64) (int, error) { return copy(p, s[off:]), nil }

// BenchmarkReplace changes one page of a file. Those that replace the file have its new contents
// in memory already, and are followed by an fsync of its directory, without which the old ones
// can come back. os.WriteFile waits for nothing, and mmap-go for the page alone; in the middle
// of either the file is a mix.
func BenchmarkReplace(b *testing.B) {
	each(b, func(b *testing.B, dir string) {
		for _, size := range sizes([]int{64 * kib, mib}, []int{16 * mib, 256 * mib}) {
			b.Run(fmt.Sprint("size=", size), func(b *testing.B) {
				data := random(size)
				names := map[string]string{}
				for _, way := range []string{"os.WriteFile", "renameio", "natefinch", "mmap-go", "Mmap"} {
					names[way] = file(b, dir, way, data)
				}
				edit := func() { data[rand.IntN(size)]++ }
				m, f := mapped(b, names["mmap-go"], mmap.RDWR)
				defer f.Close()
				defer func() { check(b, m.Unmap()) }()
				interleave.Comparison{Ways: []interleave.Way{
					interleave.Once("os.WriteFile", func() {
						edit()
						check(b, os.WriteFile(names["os.WriteFile"], data, 0o600))
					}),
					interleave.Once("mmap-go", func() {
						m[rand.IntN(size)]++
						check(b, m.Flush())
					}),
					interleave.Once("renameio", func() {
						edit()
						check(b, renameio.WriteFile(names["renameio"], data, 0o600))
						syncDir(b, dir)
					}),
					interleave.Once("natefinch", func() {
						edit()
						check(b, atomic.WriteFile(names["natefinch"], bytes.NewReader(data)))
						syncDir(b, dir)
					}),
					interleave.Once("Mmap", func() {
						m, err := snapshot.OpenMut(names["Mmap"])
						check(b, err)
						defer m.Close() // after an error; else it is closed already
						_, err = m.WriteAt([]byte{1}, rand.Int64N(int64(size)))
						check(b, err)
						check(b, m.CommitAndClose())
					}),
				}}.Bench(b)
			})
		}
	})
}

func syncDir(tb testing.TB, dir string) {
	d, err := os.Open(dir)
	check(tb, err)
	check(tb, d.Sync())
	check(tb, d.Close())
}

// BenchmarkCopy copies a file: reflink.Auto under another name, Open for itself.
func BenchmarkCopy(b *testing.B) {
	each(b, func(b *testing.B, dir string) {
		for _, size := range sizes([]int{mib}, []int{64 * mib}) {
			b.Run(fmt.Sprint("size=", size), func(b *testing.B) {
				name := file(b, dir, "f", random(size))
				interleave.Comparison{Ways: []interleave.Way{
					interleave.Once("reflink", func() {
						check(b, reflink.Auto(name, name+".copy"))
						check(b, os.Remove(name+".copy"))
					}),
					interleave.Once("Mmap", func() {
						m, err := snapshot.Open(name)
						check(b, err)
						check(b, m.Close())
					}),
				}}.Bench(b)
			})
		}
	})
}
