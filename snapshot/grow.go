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

// writeGrow does the work. The caller holds store.
func (m *MmapMut) writeGrow(p []byte, off int64) (int, error) {
	if off > math.MaxInt-int64(len(p)) {
		return 0, syscall.EFBIG
	}
	if err := m.trim(); err != nil {
		return 0, err
	}
	if err := m.makeRoom(off + int64(len(p))); err != nil {
		return 0, err
	}
	// The system call makes the file longer at no cost. An ftruncate before it makes XFS write all
	// dirty pages to the disk and wait: 14 ms after a write of 5 ms.
	n, err := m.source.pwrite(m.mem.Load(), p, off)
	if n > 0 {
		m.size.Store(max(m.Size(), off+int64(n)))
	}
	if err != nil {
		// It can have written more than n: btrfs needs space to write again, by which n is learnt.
		m.ragged = true
		_ = m.trim() // else the next change of the size or commit does it, or fails
	}
	return n, err
}

// makeRoom sees to it that end bytes can be mapped.
func (m *MmapMut) makeRoom(end int64) error {
	if mem := m.mem.Load(); mem != nil && end <= int64(len(mem.Mem)) {
		return nil
	}
	m.layout.Lock()
	defer m.layout.Unlock()
	if m.closed.Load() {
		return fs.ErrClosed
	}
	return m.reserve(end)
}
