package fusetest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A Disk is a file that a server of its own keeps in memory, to put a filesystem on. It works
// like a good disk until it is told otherwise, which may be at any time.
//
// A request that fails, fails as a whole, with EIO, as that of a real disk does: what the kernel
// asks for at once to read ahead is lost with one bad sector in it.
type Disk struct {
	server *server
	faults faults // as the server has them
	killed bool
}

// faults is what a disk does other than it should.
type faults struct {
	Delay         time.Duration
	Holds         []Range
	Reads, Writes []Range
	Marker        []byte // of writes
}

// A Range is a part of a disk.
type Range struct{ Off, Len int64 }

// Everything is all of any disk.
var Everything = Range{0, 1 << 62}

func (r Range) overlaps(off, n int64) bool { return off < r.Off+r.Len && r.Off < off+n }

// Stats counts the requests that a disk has got, whatever their size.
type Stats struct {
	Reads, FailedReads   int64
	Writes, FailedWrites int64
	ReadBytes            int64
	Most                 int64 // reads that were under way at the same time
}

// NewDisk starts a disk of size bytes, all zeros. It ends with the test.
func NewDisk(tb testing.TB, size int64) *Disk {
	tb.Helper()
	return &Disk{server: start(tb, "disk", message{Size: size}, 0, "")}
}

// Mount makes a filesystem on the disk and returns its root: see [mounttest.Kind.On]. Before it is
// unmounted, at the end of the test, the disk is healed.
func (d *Disk) Mount(tb testing.TB, kind *mounttest.Kind) (dir string) {
	tb.Helper()
	image, err := os.OpenFile(filepath.Join(d.server.dir, diskName), os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer image.Close()
	// A filesystem that cannot be unmounted must not keep the test waiting.
	var watch *time.Timer
	tb.Cleanup(func() {
		if watch != nil {
			watch.Stop()
		}
	})
	dir = kind.On(tb, image)
	tb.Cleanup(func() {
		if !d.killed {
			d.Heal(tb)
		}
		watch = d.server.killAfter(patience)
	})
	return dir
}

// MaxDelay bounds Delay. When the test's process is killed, the kernel unmounts before it closes the
// pipe that ends the server, and the unmounting has to wait for a few reads.
const MaxDelay = time.Second

func wantDelay(tb testing.TB, d time.Duration) {
	tb.Helper()
	if d > MaxDelay {
		tb.Fatalf("fusetest: a delay of %v is more than %v", d, MaxDelay)
	}
}

// Delay has each read take that long at least, [MaxDelay] at most. Reads at the same time take no
// longer.
func (d *Disk) Delay(tb testing.TB, read time.Duration) {
	tb.Helper()
	wantDelay(tb, read)
	d.faults.Delay = read
	d.tell(tb)
}

// HoldReads holds those reads back that ask for a byte of these ranges, until it is called again or
// the disk is healed, but not for longer than [MaxHold]; without any, none.
func (d *Disk) HoldReads(tb testing.TB, ranges ...Range) {
	tb.Helper()
	d.faults.Holds = ranges
	d.tell(tb)
}

// WaitHeld returns when n reads are held, and fails the test if that takes too long.
func (d *Disk) WaitHeld(tb testing.TB, n int64) {
	tb.Helper()
	waitHeld(tb, n, func() int64 { return d.server.must(tb, message{Held: true}).Holding })
}

func waitHeld(tb testing.TB, n int64, held func() int64) {
	tb.Helper()
	for begin := time.Now(); held() < n; time.Sleep(time.Millisecond) {
		if time.Since(begin) > patience {
			tb.Fatalf("fusetest: %d reads are held, want %d", held(), n)
		}
	}
}

// FailReads has exactly those reads fail that ask for a byte of these ranges; without any, none.
func (d *Disk) FailReads(tb testing.TB, ranges ...Range) {
	tb.Helper()
	d.faults.Reads = ranges
	d.tell(tb)
}

// FailWrites is FailReads for writes. What fails changes nothing.
func (d *Disk) FailWrites(tb testing.TB, ranges ...Range) {
	tb.Helper()
	d.faults.Writes = ranges
	d.tell(tb)
}

// FailWritesOf has, besides, those writes fail of which a sector begins with marker, wherever the
// filesystem puts it; without one, none.
func (d *Disk) FailWritesOf(tb testing.TB, marker []byte) {
	tb.Helper()
	d.faults.Marker = marker
	d.tell(tb)
}

// Heal makes it a good disk again.
func (d *Disk) Heal(tb testing.TB) {
	tb.Helper()
	d.faults = faults{}
	d.tell(tb)
}

func (d *Disk) tell(tb testing.TB) {
	tb.Helper()
	d.server.must(tb, message{Faults: &d.faults})
}

// Find returns where on the disk content stands, from the start of a sector on and in one piece. It
// must have been written, not just stored: see fsync(2). None is a failure of the test.
func (d *Disk) Find(tb testing.TB, content []byte) []Range {
	tb.Helper()
	found := d.server.must(tb, message{Content: content}).Found
	if len(found) == 0 {
		tb.Fatal("fusetest: what is looked for is not on the disk")
	}
	return found
}

// Stats returns what the disk has done since the last call.
func (d *Disk) Stats(tb testing.TB) Stats {
	tb.Helper()
	return *d.server.must(tb, message{Stats: &Stats{}}).Stats
}

// Kill ends the server as kill -9 does: the disk is gone for good.
func (d *Disk) Kill(tb testing.TB) {
	tb.Helper()
	d.killed = true
	if err := d.server.cmd.Process.Kill(); err != nil {
		tb.Fatal(err)
	}
}

// Pid is the process ID of the server.
func (d *Disk) Pid() int { return d.server.cmd.Process.Pid }

// Connection is the number of its FUSE connection, as in /sys/fs/fuse/connections.
func (d *Disk) Connection(tb testing.TB) int { return d.server.connection(tb) }
