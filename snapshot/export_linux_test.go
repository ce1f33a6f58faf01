package snapshot

import (
	"encoding/binary"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/defrag"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// openings counts the Mmaps that were opened, by where the contents are.
var openings struct{ inMemory, private atomic.Int64 }

func init() {
	onOpen = func(inMemory bool) {
		if inMemory {
			openings.inMemory.Add(1)
		} else {
			openings.private.Add(1)
		}
	}
}

// Openings returns how many Mmaps were opened, by where the contents are.
func Openings() (inMemory, private int64) {
	return openings.inMemory.Load(), openings.private.Load()
}

// Region returns the private copy behind a snapshot.
func Region(m any) *mapped.Region {
	switch m := m.(type) {
	case *Mmap:
		return m.region
	case *MmapMut:
		return m.region
	}
	return nil
}

// TruncatePrivate cuts off the private file behind a snapshot, as nobody can from outside.
func TruncatePrivate(tb testing.TB, m any, size int64) {
	tb.Helper()
	if err := sys.Ftruncate(Region(m).FD(), size); err != nil {
		tb.Fatal(err)
	}
}

// PrivateExtents counts the extents of the private file.
func PrivateExtents(m *MmapMut) (int, error) { return sys.CountExtents(m.fd(), 0, m.Size()) }

// DefragAll joins the extents of every window, whatever it costs.
func DefragAll(m *MmapMut) error {
	return defrag.All(m.config.options(false), m.fd(), m.origin.At.DirFD, m.Size())
}

// BreakMapping makes every access to the memory fault, while the private file can be read.
func BreakMapping(tb testing.TB, m any) {
	tb.Helper()
	if err := Region(m).Prefetch(0, 1); err != nil { // maps it
		tb.Fatal(err)
	}
	if err := sys.Mprotect(Region(m).Mapped(), false, false); err != nil {
		tb.Fatal(err)
	}
}

// PagesMapped counts the pages of the mapping that were touched: /proc/self/pagemap knows those
// that are in its page tables.
func PagesMapped(tb testing.TB, m any) (n int) {
	tb.Helper()
	mem := Region(m).Mapped()
	if mem == nil {
		return 0
	}
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	entries := make([]byte, 8*((len(mem)-1)/os.Getpagesize()+1))
	start := uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
	if _, err := f.ReadAt(entries, int64(start)/int64(os.Getpagesize())*8); err != nil {
		tb.Fatal(err)
	}
	for ; len(entries) > 0; entries = entries[8:] {
		n += int(binary.NativeEndian.Uint64(entries) >> 63)
	}
	return n
}

// inMemory reports which pages of a part of a private file are in memory, by a mapping of its own.
func inMemory(tb testing.TB, fd int, off, n int64) []bool {
	tb.Helper()
	mem, err := syscalls.Mmap(fd, int(off+n), false)
	if err != nil {
		tb.Fatal(err)
	}
	defer syscalls.Munmap(mem)
	vec := make([]byte, (n-1)/int64(os.Getpagesize())+1)
	if err := syscalls.Mincore(mem[off:], vec); err != nil {
		tb.Fatal(err)
	}
	in := make([]bool, len(vec))
	for i, v := range vec {
		in[i] = v&1 != 0
	}
	return in
}

// InMemory counts the pages of a snapshot that are in memory.
func InMemory(tb testing.TB, m any) (n int) {
	tb.Helper()
	for _, in := range inMemory(tb, Region(m).FD(), 0, Region(m).Size()) {
		if in {
			n++
		}
	}
	return n
}

// Evict drops pages of the private file from memory, and fails the test if they stay.
func Evict(tb testing.TB, m *Mmap, off, n int64) {
	tb.Helper()
	fd := m.region.FD()
	if err := unix.Fdatasync(fd); err != nil {
		tb.Fatal(err)
	}
	for try := range 200 {
		if err := unix.Fadvise(fd, off, n, unix.FADV_DONTNEED); err != nil {
			tb.Fatal(err)
		}
		if !slices.Contains(inMemory(tb, fd, off, n), true) {
			return
		}
		time.Sleep(time.Duration(try) * time.Millisecond) // what has just been written is held a moment longer
	}
	tb.Fatal("pages stayed in memory")
}
