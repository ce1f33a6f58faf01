package privatefile

import (
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// SmallSize is how large a file may be, in bytes, whose contents are read into Go memory if
// InMemory is set and NoCopy is not. It is constant but for tests, which turn that off by -1.
var SmallSize int64 = 128 << 10

// Options are the part of a configuration that says how private files are made.
type Options struct {
	NoCopy, RequireConsistent bool
	InMemory                  bool // see SmallSize; or sealed, if no directory can hold the copy
	TempDir                   string
	Progress                  func(done, total int64)

	// Accept, if not nil, is asked about a linkable private file before data are copied to it, or
	// after it was made a clone, which costs little. Its error is the error of Copy.
	Accept func(own syscalls.Stat) error
}

// Method is how a private file got its contents: see snapshot.Method, which has the same values.
type Method int

const (
	none Method = iota
	reflink
	leasedCopy
	comparedCopy
)

// An Source is a file that is to be copied.
type Source struct {
	FD        int           // open for reading
	Exclusive bool          // no other code uses the descriptor: its offset may be moved, a lease taken
	Stat      syscalls.Stat // of a moment ago

	// Dir returns a directory of its filesystem, which it may open when it is called first, or
	// NoDir. The caller of Copy closes it.
	Dir func() int

	// DirName, if not "", is the name of that directory, for a file that is made without opening
	// it.
	DirName string
}

// reopen returns src with a descriptor that no other code uses, if one can be had. This takes
// /proc, and permission to read the file. done closes it.
func (src Source) reopen() (again Source, done func()) {
	if src.Exclusive {
		return src, func() {}
	}
	// No other process has a lease that excludes readers: src is open.
	fd, err := sys.Reopen(src.FD)
	if err != nil {
		return src, func() {}
	}
	src.FD, src.Exclusive = fd, true
	return src, func() { _ = syscalls.Close(fd) }
}
