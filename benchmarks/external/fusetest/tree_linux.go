package fusetest

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// A Tree is a directory that a server of its own shows as a FUSE filesystem. It works like a good one
// until it is told otherwise, which may be at any time.
//
// Everybody may use it (allow_other), and the kernel checks permissions (default_permissions). The
// server goes by names: an unlinked file can be used only by whoever has it open, and a file without a
// name (O_TMPFILE) never gets one.
type Tree struct {
	server   *server
	troubles troubles // as the server has them
}

// TreeConfig is what a Tree is for all of its life.
type TreeConfig struct {
	// Lacks names requests that it does not know (ENOSYS), as in /usr/include/linux/fuse.h without
	// FUSE_: TMPFILE, COPY_FILE_RANGE, RENAME2, LSEEK.
	Lacks []string

	// Gone is the errno for a file that lost its name since it was looked up, as another one was
	// renamed over it: ESTALE, at which the kernel looks the name up again, or, if it is 0,
	// ENOENT, as many servers say.
	Gone syscall.Errno

	// Cache is how long the kernel may take names and attributes for true without asking.
	Cache time.Duration

	// Writeback has the kernel keep what is written, and write it later.
	Writeback bool

	// ReadOnly is how it is mounted. The kernel asks for attributes less often then, as reading
	// does not change the time of the last access.
	ReadOnly bool
}

// troubles is what a tree does other than it should.
type troubles struct {
	Delay time.Duration
	Holds []Range
	Reads []Range
	Fails map[string]syscall.Errno
	Nth   int64 // of the requests from now on
	Errno syscall.Errno
	At    string // the request that the server dies of
	Die   string
}

// TreeRequests counts the requests that a tree has got, by their names.
type TreeRequests struct {
	Got map[string]int64
	Bad string // the last one that failed as the test wants it, or ""
}

// NewTree shows the directory dir as a Tree, until the test ends.
func NewTree(tb testing.TB, dir string, c TreeConfig) *Tree {
	tb.Helper()
	d, err := os.Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	defer d.Close()
	flags := uintptr(0)
	if c.ReadOnly {
		flags = syscall.MS_RDONLY
	}
	return &Tree{server: start(tb, "tree", message{Tree: &c}, flags, ",allow_other,default_permissions", d)}
}

// Dir is where it is shown.
func (f *Tree) Dir() string { return f.server.dir }

// Delay has each read take that long at least, [MaxDelay] at most. Reads at the same time take no
// longer.
func (f *Tree) Delay(tb testing.TB, read time.Duration) {
	tb.Helper()
	wantDelay(tb, read)
	f.troubles.Delay = read
	f.tell(tb)
}

// HoldReads holds those reads back that ask for a byte of these ranges of any file, until it is
// called again or the tree is healed, but not for longer than [MaxHold]; without any, none.
func (f *Tree) HoldReads(tb testing.TB, ranges ...Range) {
	tb.Helper()
	f.troubles.Holds = ranges
	f.tell(tb)
}

// WaitHeld returns when n reads are held, and fails the test if that takes too long.
func (f *Tree) WaitHeld(tb testing.TB, n int64) {
	tb.Helper()
	waitHeld(tb, n, func() int64 { return f.server.must(tb, message{Held: true}).Holding })
}

// FailReads has exactly those reads fail, with EIO, that ask for a byte of these ranges of any file.
func (f *Tree) FailReads(tb testing.TB, ranges ...Range) {
	tb.Helper()
	f.troubles.Reads = ranges
	f.tell(tb)
}

// Fail has all requests of these names fail, without an effect.
func (f *Tree) Fail(tb testing.TB, errno syscall.Errno, requests ...string) {
	tb.Helper()
	f.troubles.Fails = map[string]syscall.Errno{}
	for _, request := range requests {
		f.troubles.Fails[request] = errno
	}
	f.tell(tb)
}

// FailNth has the n-th request from now on fail, without an effect. The first is 1.
func (f *Tree) FailNth(tb testing.TB, n int64, errno syscall.Errno) {
	tb.Helper()
	f.troubles.Nth, f.troubles.Errno = n, errno
	f.tell(tb)
}

// When a server dies.
const (
	DieBefore = "before" // it has done anything
	DieAfter  = "after"  // it did what was asked, before it answers
)

// DieAt has the server die with the next request of that name: see [Tree.Kill].
func (f *Tree) DieAt(tb testing.TB, request, when string) {
	tb.Helper()
	f.troubles.At, f.troubles.Die = request, when
	f.tell(tb)
}

// DieAtNth has the server die with the n-th request from now on.
func (f *Tree) DieAtNth(tb testing.TB, n int64, when string) {
	tb.Helper()
	f.troubles.Nth, f.troubles.Die = n, when
	f.tell(tb)
}

// Heal makes it a good one again.
func (f *Tree) Heal(tb testing.TB) {
	tb.Helper()
	f.troubles = troubles{}
	f.tell(tb)
}

func (f *Tree) tell(tb testing.TB) {
	tb.Helper()
	f.server.must(tb, message{Troubles: &f.troubles})
}

// Requests returns what it was asked since the last call, or since it was last told anything else.
func (f *Tree) Requests(tb testing.TB) TreeRequests {
	tb.Helper()
	return *f.server.must(tb, message{Requests: &TreeRequests{}}).Requests
}

// Kill ends the server as kill -9 does: the filesystem is gone for good, what it showed is where it was.
func (f *Tree) Kill(tb testing.TB) {
	tb.Helper()
	if err := f.server.cmd.Process.Kill(); err != nil {
		tb.Fatal(err)
	}
}

// Connection is the number of its FUSE connection, as in /sys/fs/fuse/connections.
func (f *Tree) Connection(tb testing.TB) int { return f.server.connection(tb) }
