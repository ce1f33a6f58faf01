package snapshot

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"syscall"
)

// WriteGrow is WriteAt, but what lies behind the end makes the snapshot longer, in one step:
// ReadAt, Size and commits find the size before it, or the size after it with the data. What
// lies between the old end and off reads as zeros. Slices of Bytes are invalid afterwards if it
// made the snapshot longer.
//
// If it fails, the snapshot ends behind what was written, or where it did before. Appending may
// take up to 128 KiB of disk space more than the data, and not more than was appended, until the
// next commit, which does not have it.
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
	if off == old {
		m.beforeAppend(off, len(p))
	}
	mem, n, err := m.mem.Load(), len(p), error(nil)
	// An appended page is filled once: by few calls, that costs less than the fault of a store.
	few := off == old && n >= 512
	if end > m.length || few || !mem.dirty.has(off, n) || !mem.copy(mem.mem[off:], p) {
		n, err = m.source.pwrite(mem, p, off)
	}
	m.length = max(m.length, off+int64(n))
	m.cut = max(m.cut, min(end, m.length)) // whatever was stored, if it failed
	if n > 0 {
		m.size.Store(max(old, off+int64(n)))
	}
	return n, err
}

// makeRoom sees to it that end bytes can be mapped, that what lies behind old reads as zeros,
// and that the private file is long enough, unless the write itself makes it longer at no cost:
// one that ends with a page leaves no part of a page that the next one would have to extend.
func (m *MmapMut) makeRoom(old, end int64) error {
	mem := m.mem.Load()
	mapped := mem != nil && end <= int64(len(mem.mem))
	grows := end > m.length && end%int64(os.Getpagesize()) != 0
	if mapped && !grows && m.cut <= old {
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
		if err := m.discard(); err != nil {
			return err
		}
	}
	if grows && end > m.length {
		return m.extend(end, end-old)
	}
	return nil
}
