package snapshot

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"syscall"
)

// WriteGrow is WriteAt, but what lies behind the end makes the snapshot longer, in one step:
// ReadAt, Size and commits find the size before it, or the size after it with the data. What
// lies between the old end and off reads as zeros. Slices of Bytes are invalid afterwards if it
// made the snapshot longer.
//
// If it fails, the snapshot ends behind what was written, or where it did before.
//
// For many small appends use a bufio.Writer, as with an os.File.
func (m *MmapMut) WriteGrow(p []byte, off int64) (int, error) {
	if off < 0 || len(p) == 0 || off <= m.size.Load()-int64(len(p)) {
		n, err := m.WriteAt(p, off)
		if !errors.Is(err, io.ErrShortWrite) { // else somebody has shrunk it
			return n, err
		}
	}
	m.store.Lock()
	defer m.store.Unlock()
	if m.closed.Load() {
		return 0, pathError("write", m.name, fs.ErrClosed)
	}
	n, err := m.writeGrow(p, off)
	return n, pathError("write", m.name, err)
}

// writeGrow does the work. The caller holds store, so that nobody else changes size, length or
// cut; and layout keeps the mapping from moving only where it has to be moved or cut.
func (m *MmapMut) writeGrow(p []byte, off int64) (int, error) {
	if off > math.MaxInt-int64(len(p)) {
		return 0, syscall.EFBIG
	}
	old, end := m.size.Load(), off+int64(len(p))
	if err := m.makeRoom(old, end); err != nil {
		return 0, err
	}
	n, err := m.put(p, off)
	if n > 0 {
		m.size.Store(max(old, off+int64(n)))
	}
	return n, err
}

// put writes p to the private file at off. It can fail, having written less. The system call makes the
// file longer at no cost: an ftruncate before it makes XFS write all dirty pages to the disk (14 ms
// after a write of 5 ms).
func (m *MmapMut) put(p []byte, off int64) (int, error) {
	m.cut = max(m.cut, min(off+int64(len(p)), m.length)) // whatever is stored, if it fails
	n, err := m.source.pwrite(m.mem.Load(), p, off)
	m.length = max(m.length, off+int64(n))
	if err != nil {
		// It can have written more than n: pwrite writes again to learn it, for which btrfs needs space.
		if st, err := m.file.Stat(); err == nil {
			m.length = max(m.length, st.Size())
		}
	}
	m.cut = max(m.cut, min(off+int64(len(p)), m.length))
	return n, err
}

// makeRoom sees to it that end bytes can be mapped, and that what lies behind old, the size, reads
// as zeros.
func (m *MmapMut) makeRoom(old, end int64) error {
	mem := m.mem.Load()
	if mem != nil && end <= int64(len(mem.Mem)) && m.cut <= old {
		return nil
	}
	m.layout.Lock()
	defer m.layout.Unlock()
	if m.closed.Load() {
		return fs.ErrClosed
	}
	if err := m.reserve(end); err != nil {
		return err
	}
	if end > old && m.cut > old {
		return m.discard()
	}
	return nil
}
