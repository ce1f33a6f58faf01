package privatefile

import "github.com/mmapsnapshot/mmapsnapshot/syscalls"

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

// A Source is a file that is to be copied.
type Source struct {
	FD        int           // open for reading
	Exclusive bool          // the caller does not use FD: its offset may be moved, a lease taken
	Stat      syscalls.Stat // of a moment ago

	// Dir returns a directory of its filesystem, which it may open when it is called first, or
	// NoDir. The caller of Copy closes it.
	Dir func() int

	// DirName returns the name of that directory, for a file that is made without opening it, or
	// "". It may be nil.
	DirName func() string
}
