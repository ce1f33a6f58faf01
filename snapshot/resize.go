package snapshot

import (
	"io/fs"
	"math"
	"os"
	"syscall"
)

// Resize changes the size of the snapshot; what it grows by are zeros, which take no disk
// space. Slices of Bytes are invalid afterwards. The memory moves now and then, with room to
// grow in, so that growing in small steps is cheap.
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
		return invalid("negative size %d", size)
	}
	if size > math.MaxInt {
		return syscall.EFBIG
	}
	if m.memory && size > memoryLimit {
		return tooLarge(size)
	}
	old := m.Size()
	if size > old {
		if err := m.reserve(size); err != nil {
			return err
		}
		if m.length > old {
			if err := m.discard(); err != nil {
				return err
			}
		}
	}
	// A View may be using what is to be cut off: then it stays until the next Resize or commit.
	if size > m.length || !m.viewed() {
		if err := sysFtruncate(m.fd(), size); err != nil {
			return err
		}
		m.length = size
	}
	m.size.Store(size)
	return nil
}

// discard makes what lies behind size read as zeros, without taking it away from a View.
func (m *MmapMut) discard() error {
	size := m.Size()
	if m.viewed() {
		return sysPunchHole(m.fd(), size, m.length-size)
	}
	if err := sysFtruncate(m.fd(), size); err != nil {
		return err
	}
	m.length = size
	return nil
}

// viewed reports whether a View is running. It can end, but none can begin while the caller
// holds layout.
func (m *MmapMut) viewed() bool { return m.views.Load() > 0 }

// maxSlack is how much room to grow in is mapped at most. It costs addresses, no memory.
const maxSlack = 1 << 30

// reserve makes the mapping at least size bytes long. Pages behind the end of the private file
// cannot be touched, but nobody gets a slice of them.
func (m *MmapMut) reserve(size int64) error {
	old, have := m.mem.Load(), int64(0)
	if old != nil {
		have = int64(len(old.mem))
	}
	if size <= have {
		return nil
	}
	length := size
	if math.MaxInt > math.MaxInt32 { // addresses are plenty
		length = max(size, have+min(have, maxSlack))
	}
	page := int64(os.Getpagesize())
	length = (length + page - 1) &^ (page - 1)
	if length > math.MaxInt || length < 0 {
		return syscall.EFBIG
	}
	mem, err := m.remap(old, int(length))
	if err != nil {
		return err
	}
	moved := newMapping(mem, true, m.owner)
	if old == nil {
		m.mem.Store(moved)
		return nil
	}
	moved.inherit(old)
	m.mem.Store(moved)
	old.release() // a ReadAt that is still inside goes on by a system call
	return nil
}

// remap maps length bytes of the private file at new addresses, taking the page tables of the
// old mapping along where possible: what is in memory then need not be faulted in again,
// which took up to a hundred times longer (btrfs, 256 MiB).
func (m *MmapMut) remap(old *mapping, length int) ([]byte, error) {
	if old != nil && !m.viewed() {
		if mem, err := sysMremap(old.mem, m.fd(), length); err == nil {
			return mem, nil
		}
	}
	return mapPrivate(m.fd(), length, true)
}
