package snapshot_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A racer is what the race of reads with Close needs of a mapped file.
type racer interface {
	io.ReaderAt
	io.Closer
}

// racers lists what races, by the way it is read.
var racers = []struct {
	name   string
	faults bool // a read that Close overtakes finds the memory gone, rather than keep it
	open   func(name string) (racer, error)
}{
	{"Mmap.ReadAt", true, func(name string) (racer, error) { return snapshot.Open(name) }},
	{"Mmap.View", false, func(name string) (racer, error) { m, err := snapshot.Open(name); return viewed{m}, err }},
	{"MmapMut.ReadAt", true, func(name string) (racer, error) { return snapshot.OpenMut(name) }},
	{"MmapMut.View", false, func(name string) (racer, error) { m, err := snapshot.OpenMut(name); return viewed{m}, err }},
}

// A closeRace opens a file again and again, and closes it while goroutines read it. Right after
// each Close another file is mapped, which takes the addresses if they are free. It is held by
// the test and by the control.
type closeRace struct {
	t      testing.TB
	open   func(name string) (racer, error)
	dir    string
	closed func(err error) bool // whether that is what a read says after Close

	target  atomic.Pointer[target]
	stop    atomic.Bool
	reading sync.WaitGroup

	rounds  int64
	reads   atomic.Int64 // right, and complete
	hits    atomic.Int64 // begun before Close, and ended by it or after it
	faulted atomic.Int64 // of these, those that had copied something when the memory went
}

// A target is one opening.
type target struct {
	racer
	phase  atomic.Int32 // 0 before Close, 1 during it, 2 after it
	inside atomic.Int32 // readers that have found it open
	done   sync.WaitGroup
}

const raceSize = 64 << 10

// raceBytes is what the file read holds; the other one holds nothing of it, and no zeros.
var raceBytes, raceOther = bytes.Repeat([]byte{'g'}, raceSize), bytes.Repeat([]byte{'o'}, raceSize)

const raceReaders = 4

// run races until reads and hits of the window are as many as wanted.
func (c *closeRace) run(reads int64, enough func() bool) {
	t := c.t
	// Close can overtake a read only if a goroutine runs beside it: the Go scheduler does not
	// preempt a goroutine inside copy. The kernel preempts a thread anywhere, on one CPU as well.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0))))
	write(t, join(c.dir, "good"), raceBytes)
	write(t, join(c.dir, "other"), raceOther)
	other, err := os.Open(join(c.dir, "other"))
	must(t, err)
	defer other.Close()
	for r := range raceReaders {
		c.reading.Go(func() { c.read(r) })
	}
	defer c.reading.Wait()
	defer c.stop.Store(true)
	for ; c.reads.Load() < reads || !enough(); c.rounds++ {
		if c.rounds > max(reads, 100_000) { // some thousand are enough, as a rule
			t.Errorf("%d hits in %d rounds: too few", c.hits.Load(), c.rounds)
			return
		}
		m, err := c.open(join(c.dir, "good"))
		must(t, err)
		now := &target{racer: m}
		now.done.Add(raceReaders)
		c.target.Store(now)
		for now.inside.Load() < int32(c.rounds%(raceReaders+1)) { // from none to all
			runtime.Gosched()
		}
		now.phase.Store(1)
		must(t, m.Close())
		b, err := syscalls.Mmap(int(other.Fd()), raceSize, false)
		must(t, err)
		now.phase.Store(2)
		now.done.Wait()
		must(t, syscalls.Munmap(b))
		if t.Failed() {
			return
		}
	}
}

// read reads each target until it is closed.
func (c *closeRace) read(r int) {
	var last *target
	p := make([]byte, 100+r*6000)
	for !c.stop.Load() {
		now := c.target.Load()
		if now == last {
			runtime.Gosched()
			continue
		}
		last = now
		for n := int64(0); c.once(now, p, (n*4097)%(raceSize-int64(len(p)))) && !c.stop.Load(); n++ {
			if n == 1 {
				now.inside.Add(1)
			}
			if n%8 == 7 {
				runtime.Gosched() // or the one that closes waits for a processor, and rounds are few
			}
		}
		now.inside.Add(1) // if it came too late for that
		now.done.Done()
	}
}

// once reads, and reports whether it may be done again.
func (c *closeRace) once(now *target, p []byte, off int64) bool {
	clear(p)
	before := now.phase.Load()
	_, err := now.ReadAt(p, off)
	after := now.phase.Load()
	switch {
	case err == nil && !bytes.Equal(p, raceBytes[:len(p)]):
		c.t.Error("wrong bytes")
		return false
	case err == nil:
		c.reads.Add(1)
		if before == 0 && after == 2 {
			c.hits.Add(1)
		}
		return true
	case !c.closed(err):
		c.t.Errorf("wrong error: %v", err)
	case before == 0:
		c.hits.Add(1)
		if bytes.IndexByte(p, 'g') >= 0 {
			c.faulted.Add(1)
		}
	}
	return false
}

// Reads racing with Close get what the file held or fs.ErrClosed, never what is mapped at the
// same addresses next, and none ends the program. The reads are counted on each filesystem, for
// each way: in the long run some 50 million.
//
//promise:snapshot.Mmap.ReadAt beside Close ReadAt returns bytes of the snapshot or fs.ErrClosed
//promise:snapshot.Mmap.Close Close is safe beside reads on other goroutines
func TestReadBesideClose(t *testing.T) {
	privateFiles(t)
	hits := int64(mounttest.Count(4, 50, 1000))
	mounttest.Each(t, func(t *testing.T, dir string) {
		for _, way := range racers {
			t.Run(way.name, func(t *testing.T) {
				mounttest.Leaks(t)
				c := &closeRace{t: t, open: way.open, dir: dir, closed: func(err error) bool { return errors.Is(err, fs.ErrClosed) }}
				c.run(int64(mounttest.Count(5_000, 125_000, 2_500_000)), func() bool {
					return c.hits.Load() >= hits && (c.faulted.Load() >= 1 || !way.faults)
				})
				t.Logf("%d reads in %d rounds; %d overtaken by Close, %d of them inside the mapping",
					c.reads.Load(), c.rounds, c.hits.Load(), c.faulted.Load())
			})
		}
	})
}

// raceEnv holds the directory of the child of TestReadBesideCloseControl.
const raceEnv = "SNAPSHOT_CLOSE_RACE"

// A plainMapping does what golang.org/x/exp/mmap does: Close unmaps at once, and a read has
// nothing to guard it.
type plainMapping struct{ data atomic.Pointer[[]byte] }

var errUnmapped = errors.New("unmapped")

func openPlain(name string) (racer, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := syscalls.Mmap(int(f.Fd()), raceSize, false)
	m := &plainMapping{}
	m.data.Store(&data)
	return m, err
}

func (m *plainMapping) ReadAt(p []byte, off int64) (int, error) {
	data := m.data.Load()
	if data == nil {
		return 0, errUnmapped
	}
	return copy(p, (*data)[off:]), nil
}

func (m *plainMapping) Close() error {
	return syscalls.Munmap(*m.data.Swap(nil))
}

// The same race with a plain mapping ends the program or shows the other file: so the test above
// proves something. It runs in a child.
func TestReadBesideCloseControl(t *testing.T) {
	if dir := os.Getenv(raceEnv); dir != "" {
		c := &closeRace{t: t, dir: dir,
			open:   openPlain,
			closed: func(err error) bool { return errors.Is(err, errUnmapped) },
		}
		c.run(int64(mounttest.Count(500_000, 500_000, 500_000)), func() bool { return true })
		return
	}
	dir := mounttest.Dir(t, mounttest.Host)
	const tries = 10 // one was enough so far
	for range tries {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestReadBesideCloseControl$", "-test.timeout=2m")
		cmd.Env = append(os.Environ(), raceEnv+"="+dir, "GORACE=atexit_sleep_ms=0 report_bugs=0")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		runtime.LockOSThread() // the parent whose death Pdeathsig reports is the thread that forked
		out, err := cmd.CombinedOutput()
		runtime.UnlockOSThread()
		for _, end := range []string{"unexpected fault address", "wrong bytes"} {
			if err != nil && strings.Contains(string(out), end) {
				t.Logf("%s, %v", end, err)
				return
			}
		}
		t.Logf("no fault this time: %v\n%.1000s", err, out)
	}
	t.Error("this harness proves nothing: a plain mapping survives it")
}
