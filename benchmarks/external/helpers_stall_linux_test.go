package external

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"golang.org/x/sys/unix"
)

// A coldWay opens a file of which nothing is in memory.
type coldWay struct {
	name string
	open func(tb testing.TB, name string) (r io.ReaderAt, close func() error)
}

var coldWays = []coldWay{
	{"os.File", func(tb testing.TB, name string) (io.ReaderAt, func() error) {
		f, err := os.Open(name)
		must(tb, err)
		cool(tb, f)
		return f, f.Close
	}},
	{"Mmap", func(tb testing.TB, name string) (io.ReaderAt, func() error) {
		m := openCold(tb, "Mmap", name)
		return m, m.Close
	}},
	{"MmapMut", func(tb testing.TB, name string) (io.ReaderAt, func() error) {
		m := openCold(tb, "MmapMut", name)
		return m, m.Close
	}},
	{"raw", func(tb testing.TB, name string) (io.ReaderAt, func() error) {
		m := openCold(tb, "Mmap", name).(*snapshot.Mmap)
		return raw(m.Bytes()), m.Close
	}},
}

// A raw is a mapping as other packages have it.
type raw []byte

func (b raw) ReadAt(p []byte, off int64) (int, error) { return copy(p, b[off:]), nil }

// hurry has processes of the benchmark's come before all others on the machine, as what those take
// would be taken for a stall, until the benchmark ends.
func hurry(b *testing.B, pids ...int) {
	b.Helper()
	nice := func(n int) {
		for _, pid := range pids {
			threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
			for _, thread := range threads {
				if tid, err := strconv.Atoi(filepath.Base(thread)); err == nil {
					_ = unix.Setpriority(unix.PRIO_PROCESS, tid, n) // new ones inherit it
				}
			}
		}
		// Where sessions share the processors, that says only who is first in the session.
		_ = os.WriteFile("/proc/self/autogroup", fmt.Append(nil, n), 0)
	}
	nice(-20)
	b.Cleanup(func() { nice(0) })
}

// advances reports whether a counter is advanced. If it should be, it may take its time.
func advances(count func() uint64, should bool) bool {
	first := count()
	patience := 100 * time.Millisecond
	if should {
		patience = fusetest.MaxHold / 2
	}
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(time.Millisecond) {
		if count() > first+1 { // the store of one may have been under way
			return true
		}
	}
	return false
}

// wantOthersGoOn runs TestHelperStall in a process of its own and checks that its other goroutine
// goes on while a read is held back, or does not go on if a mapping is touched.
func wantOthersGoOn(t *testing.T, d interface {
	HoldReads(tb testing.TB, ranges ...fusetest.Range)
	WaitHeld(tb testing.TB, n int64)
	Heal(tb testing.TB)
}, held []fusetest.Range, way, name string) {
	t.Helper()
	fd, err := unix.MemfdCreate("counter", unix.MFD_CLOEXEC)
	must(t, err)
	counter := os.NewFile(uintptr(fd), "counter")
	defer counter.Close()
	must(t, counter.Truncate(8))
	count := func() uint64 {
		var p [8]byte
		_, err := counter.ReadAt(p[:], 0)
		must(t, err)
		return binary.NativeEndian.Uint64(p[:])
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestHelperStall$", "-test.v")
	cmd.Env = append(os.Environ(), stallEnv+"="+way+"|"+name)
	cmd.ExtraFiles = []*os.File{counter}
	begin, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	cmd.Stderr = cmd.Stdout
	must(t, cmd.Start())
	defer func() {
		d.Heal(t)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	said, lines := new(bytes.Buffer), bufio.NewScanner(out)
	for lines.Scan() {
		fmt.Fprintln(said, lines.Text())
		if lines.Text() == "ready" {
			d.HoldReads(t, held...)
			must(t, begin.Close())
			d.WaitHeld(t, 1)
			goesOn := advances(count, way != touch)
			d.Heal(t)
			if goesOn != (way != touch) {
				t.Errorf("%s: other goroutines go on: %v", way, goesOn)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v\n%s", way, err, said)
	}
}

const (
	// stallEnv tells TestHelperStall how to wait for a page, and of which file.
	stallEnv = "EXTERNAL_STALL"

	// stallPage is the page that is waited for.
	stallPage = 40

	// touch is the way that holds up others: without it the tests would prove nothing.
	touch = "touching a mapping"
)
