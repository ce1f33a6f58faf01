package snapshot

import (
	"errors"
	"io/fs"
	"math"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// aheadSize is how much of the private file is made at once, ahead of what is appended.
const aheadSize = 128 << 10

// appends is what is known of appending to the private file.
type appends struct {
	bytes int64 // how many were, since the last commit or cut
	ahead int64 // how far zeros were put
}

// never is where zeros were put to that are not to be put.
const never = math.MaxInt64

// beforeAppend is called before n bytes are appended at off, the size, by a caller that holds store. If
// much was appended before, it puts zeros as far as the next multiple of aheadSize: then the kernel
// makes those pages together, which costs less than one by one. That takes less space than was
// appended since the last commit, and what is committed does not have it. If it fails, there is
// nothing to undo: what could be had is where the append goes.
func (m *MmapMut) beforeAppend(off int64, n int) {
	a := &m.appends
	a.bytes += int64(n)
	if a.bytes < aheadSize || off+int64(n) <= a.ahead {
		return
	}
	to := (off + aheadSize) &^ (aheadSize - 1)
	if to-off < 4*int64(n) {
		return
	}
	a.ahead = to
	err := m.putZeros(off, to-off)
	if err != nil {
		a.ahead = never
		st, err := m.file.Stat()
		if err != nil { // it was closed
			return
		}
		to = st.Size()
	}
	m.length = max(m.length, to)
}

// putZeros makes n bytes at off, at most aheadSize and where nothing is, zeros that take space: how,
// and where at all, was measured with appends of 4 KiB. Of their speed without, they had 1.3 on XFS and ext4
// and 1.1 on tmpfs. Written zeros made it 0.8 on btrfs and changed nothing on tmpfs; allocated space
// changed nothing on XFS, ext4 and btrfs.
func (m *MmapMut) putZeros(off, n int64) error {
	zeros, err := m.allocate(off, n)
	if err != nil || !zeros {
		return err
	}
	p := scratch.Get().(*[aheadSize]byte)
	defer scratch.Put(p)
	clear(p[:n])
	_, err = m.file.WriteAt(p[:n], off)
	return err
}

// allocate does that where space is to be allocated, and reports whether zeros are to be written.
func (m *MmapMut) allocate(off, n int64) (zeros bool, err error) {
	m.layout.RLock()
	defer m.layout.RUnlock()
	if m.closed.Load() {
		return false, fs.ErrClosed
	}
	magic, err := sysFsType(m.fd())
	switch {
	case err != nil:
		return false, err
	case magic == syscalls.XFS || magic == syscalls.Ext4:
		return true, nil
	case magic == syscalls.Tmpfs:
		return false, sysAllocate(m.fd(), off, n)
	}
	return false, errors.ErrUnsupported
}
