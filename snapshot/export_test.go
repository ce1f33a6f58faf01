//go:build linux

package snapshot

import (
	"encoding/binary"
	mathbits "math/bits"
	"os"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/defrag"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// TruncatePrivate cuts off the private file behind a snapshot, as nobody can from outside.
func TruncatePrivate(tb testing.TB, m any, size int64) {
	tb.Helper()
	var err error
	switch m := m.(type) {
	case *Mmap:
		err = sys.Ftruncate(int(m.file.Fd()), size)
	case *MmapMut:
		err = sys.Ftruncate(m.fd(), size)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// PrivateExtents counts the extents of the private file.
func PrivateExtents(m *MmapMut) (int, error) { return sys.Extents(m.fd(), 0, m.Size()) }

// FlattenAll puts every window in order, whatever it costs.
func FlattenAll(m *MmapMut) error {
	for off := int64(0); off < m.Size(); off += defrag.Window {
		if err := defrag.Join(m.config.options(false), m.fd(), m.at.DirFD, off, min(defrag.Window, m.Size()-off)); err != nil {
			return err
		}
	}
	return nil
}

// BreakMapping makes every access to the mapping fault, while the private file can be read.
func BreakMapping(tb testing.TB, m any) {
	tb.Helper()
	if err := sys.Mprotect(mappingOf(m).Mem, false, false); err != nil {
		tb.Fatal(err)
	}
}

// PrivateFd is the descriptor of the private file.
func PrivateFd(m *Mmap) int { return int(m.file.Fd()) }

// ChunkBytes is how much of a mapping one chunk of a set of pages stands for.
const ChunkBytes = mapped.ChunkPages << mapped.PageShift

// Dirty reports whether all pages of a range are known to be dirty.
func Dirty(m *MmapMut, off int64, n int) bool { return m.mem.Load().Dirty.Has(off, n) }

// Disown makes m believe that its private file is somebody else's.
func Disown(m *Mmap) { m.mem.Owner++ }

// HoldSweeper keeps the sweeper from its work until release, and waits if it is in the middle of it.
func HoldSweeper() (release func()) {
	mapped.Sweeping.Turn.Lock()
	return mapped.Sweeping.Turn.Unlock
}

// Sweep looks at once which pages are still in memory, for a caller who holds the sweeper.
func Sweep() { mapped.Sweeping.Sweep() }

// Swept returns how many mappings are looked at.
func Swept() int {
	mapped.Sweeping.Mu.Lock()
	defer mapped.Sweeping.Mu.Unlock()
	return len(mapped.Sweeping.Mappings)
}

func mappingOf(m any) *mapped.Mapping {
	switch m := m.(type) {
	case *Mmap:
		return m.mem
	case *MmapMut:
		return m.mem.Load()
	}
	return nil
}

// PagesMapped counts the pages of the mapping that were touched: /proc/self/pagemap knows those
// that are in its page tables.
func PagesMapped(tb testing.TB, m any) (n int) {
	tb.Helper()
	mem := mappingOf(m).Mem
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

// Evict drops pages of the private file from memory, and fails the test if they stay.
func Evict(tb testing.TB, m *Mmap, off, n int64) {
	tb.Helper()
	fd := int(m.file.Fd())
	if err := unix.Fdatasync(fd); err != nil {
		tb.Fatal(err)
	}
	vec := make([]byte, (n-1)/int64(os.Getpagesize())+1)
	for try := range 200 {
		if err := unix.Fadvise(fd, off, n, unix.FADV_DONTNEED); err != nil {
			tb.Fatal(err)
		}
		if err := syscalls.Mincore(m.mem.Mem[off:off+n], vec); err != nil {
			tb.Fatal(err)
		}
		if !slices.ContainsFunc(vec, func(v byte) bool { return v&1 != 0 }) {
			return
		}
		time.Sleep(time.Duration(try) * time.Millisecond) // what has just been written is held a moment longer
	}
	tb.Fatal("pages stayed in memory")
}

// Known counts the pages that a snapshot takes to be in memory.
func Known(m any) (n int) {
	for i := range mappingOf(m).Resident {
		if l := mappingOf(m).Resident[i].Load(); l != nil {
			for w := range l {
				n += mathbits.OnesCount64(l[w].Load())
			}
		}
	}
	return n << mapped.PageShift / os.Getpagesize()
}

// InMemory counts the pages of a snapshot that are in memory.
func InMemory(tb testing.TB, m any) (n int) {
	tb.Helper()
	mem := mappingOf(m).Mem
	vec := make([]byte, (len(mem)-1)/os.Getpagesize()+1)
	if err := syscalls.Mincore(mem, vec); err != nil {
		tb.Fatal(err)
	}
	for _, v := range vec {
		n += int(v & 1)
	}
	return n
}

// Quarantine tells how many bytes of addresses are kept from reuse.
func Quarantine() int {
	mapped.Quarantined.Mu.Lock()
	defer mapped.Quarantined.Mu.Unlock()
	return mapped.Quarantined.Bytes
}
