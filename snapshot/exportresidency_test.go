//go:build linux

package snapshot

import (
	"encoding/binary"
	"os"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"golang.org/x/sys/unix"
)

// LeafBytes is how much of a mapping one leaf of a set of pages stands for.
const LeafBytes = mapped.ChunkPages << mapped.PageShift

// Pages is a set of pages.
type Pages struct{ s mapped.PageSet }

func NewPages(length int) Pages               { return Pages{mapped.NewPageSet(length)} }
func (p Pages) Has(off int64, n int) bool     { return p.s.Has(off, n) }
func (p Pages) Add(off int64, n int)          { p.s.Add(off, n) }
func (p Pages) Clear()                        { p.s.Clear() }
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
