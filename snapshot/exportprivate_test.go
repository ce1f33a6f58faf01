//go:build linux

package snapshot

import (
	"runtime/debug"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/defrag"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/publish"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// Faults reports whether f faults. SetPanicOnFault makes a fault a panic instead of the end of
// the program.
func Faults(f func()) (faulted bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if e, ok := recover().(interface{ Addr() uintptr }); ok {
			faulted = e.Addr() != 0
		}
	}()
	f()
	return false
}

// TruncatePrivate cuts off the private file behind a snapshot, as nobody can from outside.
func TruncatePrivate(tb testing.TB, m any, size int64) {
	tb.Helper()
	var err error
	switch m := m.(type) {
	case *Mmap:
		err = sys.SysFtruncate(int(m.file.Fd()), size)
	case *MmapMut:
		err = sys.SysFtruncate(m.fd(), size)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// PrivateExtents counts the extents of the private file.
func PrivateExtents(m *MmapMut) (int, error) { return sys.SysExtents(m.fd(), 0, m.Size()) }

// FlattenAll puts every window in order, whatever it costs.
func FlattenAll(m *MmapMut) error {
	for off := int64(0); off < m.Size(); off += defrag.Window {
		if err := defrag.Join(m.config.options(), m.fd(), m.at.DirFD, off, min(defrag.Window, m.Size()-off)); err != nil {
			return err
		}
	}
	return nil
}

// Slot is the k-th temporary name of a file.
func Slot(base string, k int) string { return publish.TempName(base, uint64(k)) }

// BreakMapping makes every access to the mapping fault, while the private file can be read.
func BreakMapping(tb testing.TB, m any) {
	tb.Helper()
	if err := sys.SysMprotect(mappingOf(m).Mem, false, false); err != nil {
		tb.Fatal(err)
	}
}

// PrivateFd is the descriptor of the private file.
func PrivateFd(m *Mmap) int { return int(m.file.Fd()) }
