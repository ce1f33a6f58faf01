package snapshot

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// Resize changes the size of the snapshot, and zeros are what it grows by, which take no disk space.
// Slices of Bytes are invalid afterwards. While a View runs, in any goroutine, Resize to less fails
// with syscall.EBUSY. It costs an ftruncate(2) of the private file.
//
// If Resize fails, the size is as it was.
func (m *MmapMut) Resize(size int64) error {
	m.store.Lock()
	defer m.store.Unlock()
	m.layout.Lock()
	defer m.layout.Unlock()
	if m.closed.Load() {
		return pathError("resize", m.name, fs.ErrClosed)
	}
	return pathError("resize", m.name, m.resize(size))
}

func (m *MmapMut) resize(size int64) error {
	if size < 0 {
		return fmt.Errorf("negative size %d: %w", size, fs.ErrInvalid)
	}
	if size < m.Size() && m.viewed() {
		return fmt.Errorf("a View is running: %w", syscall.EBUSY)
	}
	if err := m.reserve(size); err != nil {
		return err
	}
	if size > m.Size() {
		if err := m.trim(); err != nil {
			return err
		}
	}
	if err := sys.Ftruncate(m.fd(), size); err != nil {
		return err
	}
	m.ragged = false
	m.size.Store(size)
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

// viewed reports whether a View is running. It can end, but none can begin while the caller
// holds layout.
func (m *MmapMut) viewed() bool { return m.views.Load() > 0 }

// maxSlack is how much room to grow in is mapped at most, 32 MiB on 32 bits. It costs addresses, no
// memory.
const maxSlack = int64(min(1<<30, math.MaxInt>>6))

// reserve makes the mapping at least size bytes long, if it may be. Pages behind the end of the private file
// cannot be touched, but nobody gets a slice of them.
func (m *MmapMut) reserve(size int64) error {
	old, have := m.mem.Load(), int64(0)
	if old != nil {
		have = int64(len(old.Mem))
	}
	if size <= have {
		return nil
	}
	if size > math.MaxInt {
		return syscall.EFBIG
	}
	page := int64(os.Getpagesize())
	length := max(size, min(have+min(have, maxSlack), math.MaxInt&^(page-1)))
	length = (length + page - 1) &^ (page - 1)
	if length > math.MaxInt || length < 0 {
		return syscall.EFBIG
	}
	mem, err := m.remap(old, int(length))
	if err != nil {
		return err
	}
	moved := mapped.New(mem, true, m.owner)
	if old == nil {
		m.mem.Store(moved)
		return nil
	}
	moved.CopyState(old)
	m.mem.Store(moved)
	old.Release() // a ReadAt that is still inside goes on by a system call
	return nil
}

// remap maps length bytes of the private file at new addresses, taking the page tables of the
// old mapping along where possible: what is in memory then need not be faulted in again,
// which took up to a hundred times longer (btrfs, 256 MiB).
func (m *MmapMut) remap(old *mapped.Mapping, length int) ([]byte, error) {
	if old != nil && !m.viewed() {
		if mem, err := sys.MremapDontunmap(old.Mem, m.fd(), length); err == nil {
			return mem, nil
		}
	}
	return mapped.Map(m.fd(), length, true)
}
