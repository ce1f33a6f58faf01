package snapshot

// Method tells how the private copy behind a snapshot was made.
type Method int

const (
	// None: nothing was copied; the snapshot was made by Create.
	None Method = iota

	// Reflink: the copy shares the extents of the file (FICLONE). It shows the file at one
	// instant, between two system calls of whoever was writing, and cost no space.
	Reflink

	// LeasedCopy: the data were copied while a lease kept everybody from opening the file for
	// writing. It shows the file between an open and a close of its writers.
	LeasedCopy

	// ComparedCopy: the data were copied, and size, modification time, change time and inode of
	// the file were the same afterwards as before. Stores made meanwhile through somebody's
	// writable mapping may have gone unnoticed.
	ComparedCopy
)

func (m Method) String() string {
	switch m {
	case Reflink:
		return "reflink"
	case LeasedCopy:
		return "leased copy"
	case ComparedCopy:
		return "compared copy"
	}
	return "none"
}
