package snapshot_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// limitEnv holds the name of the limit that a child of TestLimits meets, limitDir its directory.
const limitEnv, limitDir = "SNAPSHOT_LIMIT", "SNAPSHOT_LIMIT_DIR"

// limitSize is the size of the file that is opened, in bytes.
const limitSize = 300_000

// limitMost is how many snapshots of a file are opened at most.
const limitMost = 2000

// A limit is something that a program meets by opening snapshots.
type limit struct {
	name string
	on   mounttest.Property // of the filesystems, all known ones if 0

	// prepare returns the directory of the file. It runs in the parent. If it is nil, that is a new
	// directory on the filesystem that the tests share.
	prepare func(t *testing.T, kind *mounttest.Kind) (dir string)

	// impose makes the limit small. It runs in the child.
	impose func(t *testing.T, dir string) (undo func())

	// open opens the i-th snapshot. If it is nil, that is openAlternately.
	open func(dir string, i int) (reader, error)

	errno    syscall.Errno
	says     string // part of the error
	readOnly bool   // nothing can be committed to the directory
	user     bool   // the child has no capabilities
}

// startLimited runs the test that calls it in a child process, which may die, and returns its
// output.
func (l *limit) startLimited(t *testing.T, dir string) (out []byte, err error) {
	t.Helper()
	test, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+test+"$", "-test.v", "-test.timeout=9m")
	cmd.Env = append(os.Environ(), limitEnv+"="+l.name, limitDir+"="+dir, "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if l.user {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	runtime.LockOSThread() // the parent whose death Pdeathsig reports is the thread that forked
	defer runtime.UnlockOSThread()
	return cmd.CombinedOutput()
}

// A heldSnapshot is a snapshot and the noise that it begins with.
type heldSnapshot struct {
	reader
	seed uint64
	n    int
}

// wantRead checks the contents by ReadAt.
func (h heldSnapshot) wantRead(t *testing.T, what string) {
	t.Helper()
	p := make([]byte, h.n)
	if _, err := h.ReadAt(p, 0); err != nil {
		t.Fatalf("%s: %v: %v", what, h.Method(), err)
	}
	wantBytes(t, what+": ReadAt", p, noise(h.seed, h.n))
}

var errOtherBytes = errors.New("View shows other bytes")

// view checks the contents by View, which maps them.
func (h heldSnapshot) view() error {
	return h.View(0, int64(h.n), func(b []byte) error {
		if !bytes.Equal(b, noise(h.seed, h.n)) {
			return errOtherBytes
		}
		return nil
	})
}

// closeHeld closes snapshots, and forgets them.
func closeHeld(held *[]heldSnapshot) (err error) {
	for _, h := range *held {
		err = errors.Join(err, h.Close())
	}
	*held = nil
	return err
}

// fileContents are those of the file that is opened.
func fileContents() []byte { return noise(1, limitSize) }

// openAlternately opens the file to read it, or to change all of it.
func openAlternately(dir string, i int) (reader, error) {
	if i%2 == 0 {
		return snapshot.Open(join(dir, "f"))
	}
	return openToStore(dir, i)
}

// openToStore opens the file and overwrites it.
func openToStore(dir string, i int) (reader, error) {
	m, err := snapshot.OpenMut(join(dir, "f"))
	if err != nil {
		return nil, err
	}
	if _, err := m.WriteAt(noise(uint64(i), limitSize), 0); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// meet is the child: it opens snapshots until the limit is met, several times, and checks that it
// holds nothing afterwards.
func (l *limit) meet(t *testing.T, dir string) {
	mounttest.Leaks(t)
	warmUp()
	l.round(t, dir, 2) // the runtime takes memory and threads
	before := take(t, dir)
	undo := l.impose(t, dir)
	first := 0
	for round := range mounttest.Count(2, 5, 50) {
		n := l.round(t, dir, limitMost)
		if round == 0 {
			first = n
			t.Logf("%d snapshots were opened", n)
		} else if n < first*9/10 {
			t.Errorf("%d snapshots could be opened the first time, later %d", first, n)
		}
		settleDown(dir)
	}
	undo()
	wantNoMore(t, dir, before)
}

// wantNoMore checks that this process holds no more than before.
func wantNoMore(t *testing.T, dir string, before inventory) {
	t.Helper()
	after := take(t, dir)
	before.resident += 16 << 20 // parts of the heap; the snapshots of a round hold more
	if raceDetector() {         // which takes memory of its own
		before.addresses, before.resident = after.addresses, after.resident
	}
	if more := after.over(before, 2<<20); more != "" {
		t.Error(more)
	}
}

// round opens up to most snapshots, closes all of them, and returns how many they were.
func (l *limit) round(t *testing.T, dir string, most int) int {
	t.Helper()
	open := l.open
	if open == nil {
		open = openAlternately
	}
	var held []heldSnapshot
	defer closeHeld(&held) // if the test fails
	var met error
	for i := 0; len(held) < most; i++ {
		m, err := open(dir, i)
		if err != nil {
			met = err
			break
		}
		h := heldSnapshot{m, 1, limitSize}
		if _, ok := m.(*snapshot.MmapMut); ok {
			h.seed = uint64(i)
		}
		if met = h.view(); met != nil {
			h.wantRead(t, "not mapped")
			must(t, m.Close())
			break
		}
		held = append(held, h)
	}
	if most == limitMost {
		l.wantMet(t, met, len(held))
	} else {
		must(t, met)
	}
	useRuntime()
	for i, h := range held {
		h.wantRead(t, fmt.Sprintf("%d of %d", i, len(held)))
		must(t, h.view())
	}
	n := len(held)
	must(t, closeHeld(&held))
	settleDown(dir)
	if !l.readOnly {
		commitThenRestore(t, dir)
	}
	return n
}

// wantMet checks the error that the limit led to, with n snapshots open.
func (l *limit) wantMet(t *testing.T, err error, n int) {
	t.Helper()
	switch {
	case err == nil:
		t.Fatalf("%d snapshots are open, and no limit was met", n)
	case !errors.Is(err, l.errno):
		t.Fatalf("with %d snapshots open: %v: is not %v", n, err, l.errno)
	case !strings.Contains(err.Error(), l.says):
		t.Errorf("with %d snapshots open: %v: does not say %q", n, err, l.says)
	case n < 2:
		t.Errorf("with %d snapshots open: %v", n, err)
	}
}

// commitThenRestore changes the file and back again.
func commitThenRestore(t *testing.T, dir string) {
	t.Helper()
	for _, content := range [][]byte{noise(9, limitSize), fileContents()} {
		m, err := snapshot.OpenMut(join(dir, "f"))
		must(t, err)
		_, err = m.WriteAt(content, 0)
		must(t, err)
		must(t, m.CommitAndClose())
		wantFile(t, join(dir, "f"), content)
	}
}

// settleDown has the garbage collector and the filesystem give back what was closed.
func settleDown(dir string) {
	for range 3 {
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
	}
	_ = syncfs(dir)
}

// raceDetector reports whether the tests run under the race detector.
func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// warmUp has the runtime take memory and threads that it keeps.
func warmUp() {
	p := make([]byte, 32<<20)
	clear(p)
	useRuntime()
}

// useRuntime needs memory and threads, as a program does that goes on after an error.
func useRuntime() {
	for range 20 {
		_ = make([]byte, 1<<20)
	}
	runtime.GC()
	var threads sync.WaitGroup
	for range 10 {
		threads.Go(func() {
			runtime.LockOSThread()
			time.Sleep(time.Millisecond)
			runtime.UnlockOSThread()
		})
	}
	threads.Wait()
}
