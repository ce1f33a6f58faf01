package privatefile

import (
	"sync"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// maxMounts is how many mounts are remembered at most.
const maxMounts = 256

// mounts holds the magic numbers of the filesystems of mounts. The kernel gives the number of a
// mount to no other one.
var mounts struct {
	sync.Mutex // guards magic
	magic      map[uint64]uint32
}

// FSType returns the magic number of the filesystem that src lies on. It asks the filesystem
// itself once for each mount, because XFS answers only after the inodes that are being freed.
func (src Source) FSType() (uint32, error) {
	mount := src.Stat.Mount
	mounts.Lock()
	magic, ok := mounts.magic[mount]
	mounts.Unlock()
	if ok {
		return magic, nil
	}
	magic, err := sys.FSType(src.FD)
	if err != nil || mount == 0 {
		return magic, err
	}
	mounts.Lock()
	defer mounts.Unlock()
	if mounts.magic == nil || len(mounts.magic) >= maxMounts {
		mounts.magic = map[uint64]uint32{}
	}
	mounts.magic[mount] = magic
	return magic, nil
}
