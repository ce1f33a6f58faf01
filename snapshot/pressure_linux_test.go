package snapshot_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

const (
	pressureLimit = 20 << 20
	pressureSize  = 3 * pressureLimit
	pressurePiece = 64 << 10
)

// pressureEnv holds the file of the child of TestMemoryPressure, pressureGroup its control group.
const pressureEnv, pressureGroup = "SNAPSHOT_PRESSURE", "SNAPSHOT_PRESSURE_GROUP"

// A process that may have a third of a file in memory reads, views, stores into and commits all
// of it, and every byte is right; pages leave the memory meanwhile, and the next sweep knows.
// Not on tmpfs: its pages leave the memory for swap alone.
//
//promise:snapshot under memory pressure each byte that a snapshot returns is right
func TestMemoryPressure(t *testing.T) {
	if name := os.Getenv(pressureEnv); name != "" {
		must(t, memoryGroup{os.Getenv(pressureGroup)}.join())
		debug.SetGCPercent(20)
		underPressure(t, name)
		return
	}
	test := mounttest.EachOf
	if mounttest.Count(1, 2, 2) == 1 { // it takes some seconds each, for the disk
		test = func(t *testing.T, p mounttest.Property, f func(t *testing.T, dir string)) { f(t, mounttest.Dir(t, p)) }
	}
	test(t, mounttest.Disk, func(t *testing.T, dir string) {
		group := newMemoryGroup(t, pressureLimit)
		name := join(dir, "f")
		f, err := os.Create(name)
		must(t, err)
		for off := 0; off < pressureSize; off += pressurePiece {
			_, err := f.Write(pressureBytes(off, 0))
			must(t, err)
		}
		must(t, f.Close())
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestMemoryPressure$", "-test.v", "-test.timeout=9m")
		cmd.Env = append(os.Environ(), pressureEnv+"="+name, pressureGroup+"="+group.dir, "GORACE=atexit_sleep_ms=0")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		runtime.LockOSThread() // the parent whose death Pdeathsig reports is the thread that forked
		defer runtime.UnlockOSThread()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("the child: %v\n%s", err, out)
		}
		t.Logf("%s", out)
	})
}

// pressureBytes is a piece of the file, in a version.
func pressureBytes(off, version int) []byte {
	p := make([]byte, pressurePiece)
	noiseOf(p, mix(uint64(off), uint64(version)))
	return p
}

// underPressure is the child.
func underPressure(t *testing.T, name string) {
	version := map[int]int{}
	m := open(t, name)
	passes := mounttest.Count(1, 3, 30)
	for range passes {
		pressureRead(t, m, version)
	}
	wantSweep(t, m)
	must(t, m.Close())

	mut := openMut(t, name)
	r := rand.New(rand.NewPCG(1, 2))
	for pass := range passes {
		for _, k := range r.Perm(pressureSize / pressurePiece) {
			off := k * pressurePiece
			if k%3 == 0 {
				continue // stays as it is
			}
			version[off] = pass + 1
			want := pressureBytes(off, version[off])
			if k%3 == 1 {
				_, err := mut.WriteAt(want, int64(off))
				must(t, err)
				continue
			}
			must(t, mut.View(int64(off), pressurePiece, func(b []byte) error {
				copy(b, want)
				return nil
			}))
		}
		pressureRead(t, mut, version)
		wantSweep(t, mut)
		must(t, mut.Commit())
		m := open(t, name)
		pressureRead(t, m, version)
		must(t, m.Close())
	}
	must(t, mut.Close())
}

// pressureRead reads all of a snapshot, some of it by View, and checks it.
func pressureRead(t *testing.T, m reader, version map[int]int) {
	t.Helper()
	p := make([]byte, pressurePiece)
	for off := 0; off < pressureSize; off += pressurePiece {
		want := pressureBytes(off, version[off])
		if off/pressurePiece%4 == 0 {
			must(t, m.View(int64(off), pressurePiece, func(b []byte) error {
				copy(p, b)
				return nil
			}))
		} else if _, err := m.ReadAt(p, int64(off)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(p, want) {
			t.Fatalf("%T: wrong bytes from %d on", m, off)
		}
	}
}

// wantSweep checks that most pages were evicted, all of which had been read, and that a sweep
// forgets them.
func wantSweep(t *testing.T, m reader) {
	t.Helper()
	defer mapped.HoldSweeper()()
	all, most := pressureSize/os.Getpagesize(), pressureLimit/os.Getpagesize()
	before := snapshot.Region(m).ResidentPages()
	mapped.Sweep()
	after, there := snapshot.Region(m).ResidentPages(), snapshot.InMemory(t, m)
	what := fmt.Sprintf("%T: of %d pages %d were known, %d after a sweep, %d are in memory", m, all, before, after, there)
	t.Log(what)
	if there > most {
		t.Errorf("no pressure: %s", what)
	}
	if after > most || before < after {
		t.Errorf("the sweep forgets too little: %s", what)
	}
	if after == 0 && there > 0 {
		t.Errorf("the sweep forgets all: %s", what)
	}
}
