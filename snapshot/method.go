package snapshot

import (
	"strconv"
)

// Method tells how the private copy behind a snapshot was made.
type Method int

const (
	// None: there is no file that was copied; the snapshot was made by Create or FromReaderAt.
	None Method = iota

	// Reflink: the copy shares the extents of the file (FICLONE). It shows the file at one
	// instant, between two write(2) calls of whoever was writing, and cost no space.
	Reflink

	// LeasedCopy: the data were copied while nobody had the file open for writing or mapped
	// writable, and a lease kept everybody from opening it so. It shows the file between an open
	// and a close of its writers, even of those who save by many writes. Size, times and inode of
	// a small file were compared, too. A small file that belongs to the user of this process is a
	// LeasedCopy, also where there are reflinks, but not from FromFile of a descriptor that is
	// open for reading.
	LeasedCopy

	// ComparedCopy: the data were copied without a lease, as those of another user's small file
	// are where its directory can hold no reflink, and size, modification time, change time and
	// inode of the file were the same afterwards as before. Stores made meanwhile through a
	// writable mapping may have gone unnoticed, a program that saves by many writes may have been
	// caught between two, and a write(2) that was in progress at the begin may be there in part,
	// unless the copy is settled: see Mmap.Settled.
	ComparedCopy

	// Lease: nothing was copied. The file itself is read, and a lease keeps every process from
	// opening it for writing until there is a private copy: see Config.Lazy. It shows the file as
	// a LeasedCopy does. The value stays when the copy has been made.
	Lease
)

func (m Method) String() string {
	switch m {
	case None:
		return "none"
	case Reflink:
		return "reflink"
	case LeasedCopy:
		return "leased copy"
	case ComparedCopy:
		return "compared copy"
	case Lease:
		return "lease"
	}
	return "Method(" + strconv.Itoa(int(m)) + ")"
}
