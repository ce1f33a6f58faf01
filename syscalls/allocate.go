package syscalls

// Allocate gives the n bytes at off of a file blocks of their own, and changes neither data nor
// size: fallocate(2), FALLOC_FL_KEEP_SIZE. Holes still read as zeros. If unshare
// is set, blocks that other files share are replaced as well (FALLOC_FL_UNSHARE_RANGE), which XFS
// alone can. The range may lie behind the end of the file: [Ftruncate] to its size frees such
// blocks.
//
// It is the way to learn why a store through a mapping faults, without a store: ENOSPC, EDQUOT,
// EIO.
func Allocate(fd int, off, n int64, unshare bool) error {
	return do("fallocate", func() error { return allocate(fd, off, n, unshare) })
}
