package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
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
		return fmt.Errorf("negative size %d: %w", size, fs.ErrInvalid)
	}
	old := m.Size()
	if size > old {
		if err := m.reserve(size); err != nil {
			return err
		}
		if m.cut > old {
			if err := m.discard(); err != nil {
				return err
			}
		}
		if size > m.length {
			if err := m.extend(size, size-old); err != nil {
				return err
			}
		}
		m.cut = max(m.cut, size) // a View may still store behind it
	} else if !m.viewed() { // else it may be using what is to be cut off, which stays until the next Resize or commit
		if err := m.truncate(size); err != nil {
			return err
		}
	}
	m.size.Store(size)
	return nil
}

// truncate makes the private file end at size.
func (m *MmapMut) truncate(size int64) error {
	if err := sys.Ftruncate(m.fd(), size); err != nil {
		return err
	}
	m.length, m.cut = size, size
	return nil
}

const (
	// minRoom and maxRoom bound the hole that the private file is given to grow in. The first is
	// more than a block of any filesystem: XFS writes a block back to the disk each time that a
	// file is made longer from the middle of one (a millisecond).
	minRoom = 64 << 10
	maxRoom = 64 << 20
)

// extend makes the private file at least size bytes long, and longer if it grows by little, n
// bytes: an ftruncate for each write made appending two to fifty times slower than a file's.
// The room is a hole, which nobody sees.
func (m *MmapMut) extend(size, n int64) error {
	if n <= maxRoom && size <= math.MaxInt64-2*maxRoom {
		room := (size + min(max(size, minRoom), maxRoom)) &^ (minRoom - 1)
		err := sys.Ftruncate(m.fd(), room)
		if err == nil {
			m.length = room
			return nil
		}
		if !errors.Is(err, syscall.EFBIG) { // of the filesystem, or of RLIMIT_FSIZE
			return err
		}
	}
	if err := sys.Ftruncate(m.fd(), size); err != nil {
		return err
	}
	m.length = size
	return nil
}

// discard makes what lies behind size read as zeros, without taking it away from a View.
func (m *MmapMut) discard() error {
	size := m.Size()
	if !m.viewed() {
		return m.truncate(size)
	}
	// A page in which a hole begins shows zeros from its beginning for an instant, to who reads it by
	// a mapping (XFS, measured on Linux 6.18): so what is left of it is written.
	page := int64(os.Getpagesize())
	zeros := make([]byte, min(-size&(page-1), m.length-size))
	hole := size + int64(len(zeros))
	if _, err := m.file.WriteAt(zeros, size); err != nil {
		hole = size // it was a hole, and there is no space
	}
	if hole >= m.length {
		return nil
	}
	return sys.PunchHole(m.fd(), hole, m.length-hole)
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
	if m.memory && size > privatefile.MemoryLimit {
		return privatefile.TooLarge(size)
	}
	if size <= have {
		return nil
	}
	if size > math.MaxInt {
		return syscall.EFBIG
	}
	page := int64(os.Getpagesize())
	length := max(size, min(have+min(have, maxSlack), math.MaxInt&^(page-1)))
	if m.memory {
		length = min(length, privatefile.MemoryLimit) // so that what is mapped may be used
	}
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
