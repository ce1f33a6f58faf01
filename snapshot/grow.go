package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
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
	if !m.isValid() {
		return 0, fs.ErrInvalid
	}
	if off < 0 || len(p) == 0 || off <= m.Size()-int64(len(p)) {
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
	if err := m.region.Reserve(off + int64(len(p))); err != nil {
		return 0, err
	}
	// The system call makes the file longer at no cost. An ftruncate before it makes XFS write all
	// dirty pages to the disk and wait: 14 ms after a write of 5 ms.
	n, err := m.region.Pwrite(p, off)
	if n > 0 {
		m.region.SetSize(max(m.Size(), off+int64(n)))
	}
	if err != nil {
		// No filesystem promises that the file ends behind the n bytes.
		m.ragged = true
		_ = m.trim() // else the next change of the size or commit does it, or fails
		err = sourceFault(p[n:], err)
	}
	return n, err
}

// Resize changes the size of the snapshot, and zeros are what it grows by, which take no disk
// space. Slices of Bytes are invalid afterwards. While a View or Prefetch runs, in any goroutine,
// Resize to less fails with syscall.EBUSY. It costs an ftruncate(2) of the private file.
//
// If Resize fails, the size is as it was.
func (m *MmapMut) Resize(size int64) error {
	if !m.isValid() {
		return fs.ErrInvalid
	}
	m.store.Lock()
	defer m.store.Unlock()
	if m.closed.Load() {
		return pathError("resize", m.name, fs.ErrClosed)
	}
	return pathError("resize", m.name, m.resize(size))
}

func (m *MmapMut) resize(size int64) error {
	if size < 0 {
		return fmt.Errorf("negative size %d: %w", size, fs.ErrInvalid)
	}
	if err := m.region.Reserve(size); err != nil {
		return err
	}
	if size < m.Size() {
		if !m.views.TryLock() {
			return fmt.Errorf("a View or Prefetch is running: %w", syscall.EBUSY)
		}
		defer m.views.Unlock()
	} else if err := m.trim(); err != nil {
		return err
	}
	if err := sys.Ftruncate(m.fd(), size); err != nil {
		return err
	}
	m.ragged = false
	m.region.SetSize(size)
	return nil
}

// trim cuts off what a write that failed may have left in the private file behind the size. The
// caller holds store.
func (m *MmapMut) trim() error {
	if !m.ragged {
		return nil
	}
	err := sys.Ftruncate(m.fd(), m.Size())
	m.ragged = err != nil
	return err
}
