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
// If it fails, the snapshot ends behind what was written, or where it did before.
//
// What is appended in pieces of up to 32 KiB is gathered in memory, 128 KiB at most, until it is
// written to the private file together, or something other than ReadAt, WriteAt, Resident or a
// Resize to less needs it there. So a full disk, a quota, or a limit of the size of files, may be the
// error of a later call. Nothing is lost then: that call has done nothing, and can be made again
// when there is room.
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
	if off == old && len(p) <= tailPiece {
		return m.append(p, off, end)
	}
	if err := m.flush(); err != nil {
		return 0, err
	}
	if err := m.makeRoom(old, end); err != nil {
		return 0, err
	}
	if err := m.lengthen(old, end); err != nil {
		return 0, err
	}
	n, err := m.put(p, off)
	if n > 0 {
		m.setSize(max(old, off+int64(n)))
	}
	return n, err
}

// append is writeGrow at the end, of little. If what was appended before finds no space, that stays
// in the tail, and nothing of p does.
func (m *MmapMut) append(p []byte, off, end int64) (int, error) {
	if err := m.makeRoom(off, end); err != nil {
		return 0, err
	}
	if len(p) > m.tail.room() {
		// p may be mapped, and fault: then nothing may have changed.
		buf := scratch.Get().(*[tailSize]byte)
		defer scratch.Put(buf)
		p = buf[:copy(buf[:], p)]
	}
	if n := m.tail.append(p); n < len(p) {
		if err := m.flush(); err != nil {
			m.tail.cut(int(off - m.tail.base.Load()))
			return 0, err
		}
		m.tail.append(p[n:])
	}
	m.size.Store(end)
	return len(p), nil
}

// put writes p to the private file at off. It can fail, having written less.
func (m *MmapMut) put(p []byte, off int64) (int, error) {
	mem, n, err := m.mem.Load(), len(p), error(nil)
	end := off + int64(n)
	// An appended page is filled once: by few calls, that costs less than the fault of a store.
	few := off == m.tail.base.Load() && n >= 512
	m.cut = max(m.cut, min(end, m.length)) // whatever is stored, if p is mapped, and faults
	if end > m.length || few || !mem.Dirty.Has(off, n) || !mem.Copy(mem.Mem[off:], p) {
		n, err = m.source.pwrite(mem, p, off)
	}
	m.length = max(m.length, off+int64(n))
	if err != nil {
		// It can have written more than n: pwrite writes again to learn it, for which btrfs needs space.
		if st, err := m.file.Stat(); err == nil {
			m.length = max(m.length, st.Size())
		}
	}
	m.cut = max(m.cut, min(end, m.length)) // or if it failed
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

// lengthen makes the private file, of which old bytes are in use, long enough for end, unless the
// write itself makes it longer at no cost: one that ends with a page leaves no part of a page that
// the next one would have to extend.
func (m *MmapMut) lengthen(old, end int64) error {
	if end <= m.length || end%int64(os.Getpagesize()) == 0 {
		return nil
	}
	m.layout.Lock()
	defer m.layout.Unlock()
	if m.closed.Load() {
		return fs.ErrClosed
	}
	return m.extend(end, end-old)
}
