package snapshot_test

import (
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

// limitPlace holds the TempDir of a child, or its control group.
const limitPlace = "SNAPSHOT_LIMIT_PLACE"

// limitMost is how many snapshots of a file are opened at most.
const limitMost = 2000

// A limit is something that a program meets by opening snapshots.
type limit struct {
	name string
	slow bool // it is met on one filesystem, but for long runs

	// fresh returns the directory of the file, on a filesystem of each kind that has the property
	// on. It runs in the parent. If it is nil, that is a new directory on a filesystem that tests
	// share.
	on    mounttest.Property
	fresh func(t *testing.T, kind *mounttest.Kind) (dir string)

	// prepare runs in the parent, if it is not nil.
	prepare func(t *testing.T, dir string)

	// impose makes the limit small, if it is not nil. It runs in the child.
	impose func(t *testing.T, dir string) (undo func())

	// open opens the i-th snapshot. If it is nil, that is openAlternately.
	open func(dir string, i int) (reader, error)

	// at checks what else the limit does when it is met. refused is the snapshot that could not be
	// mapped, or nil if the last one could not be opened.
	at func(l *limit, t *testing.T, dir string, held []heldSnapshot, refused *heldSnapshot)

	errno    syscall.Errno
	says     string // part of the error; $ introduces a variable of the environment
	readOnly bool   // nothing can be committed to the directory
	user     bool   // the child has no capabilities
}

// eachDir runs f with a directory on each filesystem.
func (l *limit) eachDir(t *testing.T, f func(t *testing.T, dir string)) {
	t.Helper()
	switch {
	case l.fresh != nil:
		mounttest.EachKind(t, l.on|mounttest.Known, func(t *testing.T, kind *mounttest.Kind) {
			mounttest.Need(t, "CAP_SYS_ADMIN")
			f(t, l.fresh(t, kind))
		})
	case l.slow && mounttest.Count(1, 1, 2) == 1:
		f(t, mounttest.Dir(t, 0))
	default:
		eachOrTwo(t, f)
	}
}

// fewFilesystems reports whether limits that are the same on all filesystems are met on few of
// them, to save time.
func fewFilesystems() bool { return mounttest.Count(1, 2, 2) == 1 }

// eachOrTwo runs f on all filesystems, or by default on one with reflinks and one without.
func eachOrTwo(t *testing.T, f func(t *testing.T, dir string)) {
	t.Helper()
	if !fewFilesystems() {
		mounttest.EachOf(t, 0, f)
		return
	}
	for name, p := range map[string]mounttest.Property{
		"reflinks": mounttest.Reflinks, "copies": mounttest.NoReflinks,
	} {
		t.Run(name, func(t *testing.T) { f(t, mounttest.Dir(t, p)) })
	}
}

// startLimited runs the test that calls it in a child process, which may die, and returns its
// output.
func (l *limit) startLimited(t *testing.T, dir string) (out []byte, err error) {
	t.Helper()
	test, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+test+"$", "-test.v", "-test.timeout=9m")
	cmd.Env = append(os.Environ(), limitEnv+"="+l.name, limitDir+"="+dir, "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if l.user && mounttest.Can("CAP_SETUID", "CAP_SETGID", "CAP_CHOWN") {
		for _, name := range []string{dir, join(dir, "f")} {
			must(t, os.Chown(name, 65534, 65534))
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	runtime.LockOSThread() // the parent whose death Pdeathsig reports is the thread that forked
	defer runtime.UnlockOSThread()
	return cmd.CombinedOutput()
}

// meet is the child: it opens snapshots until the limit is met, several times, and checks that it
// holds nothing afterwards.
func (l *limit) meet(t *testing.T, dir string) {
	mounttest.Leaks(t)
	warmUp()
	l.round(t, dir, 2)
	before := take(t, dir)
	undo := func() {}
	if l.impose != nil {
		undo = l.impose(t, dir)
	}
	first, least := 0, 0
	for round := range mounttest.Count(2, 5, 50) {
		n := l.round(t, dir, limitMost)
		if round == 0 {
			first, least = n, n*9/10
			if raceDetector() { // which makes mappings of its own
				least = n * 3 / 4
			}
			t.Logf("%d snapshots were opened", n)
		} else if n < least {
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
	slack := int64(1) << 62 // other programs use the filesystem
	if mounttest.Has(dir, mounttest.Private) {
		slack = mounttest.KindOf(dir).Slack()
	}
	after := take(t, dir)
	before.resident += 16 << 20 // parts of the heap; the snapshots of a round hold more
	if raceDetector() {         // which takes memory of its own
		before.addresses, before.resident, before.mappings = after.addresses, after.resident, after.mappings
	}
	if more := after.over(before, slack); more != "" {
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
	var refused *heldSnapshot
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
		if met = h.occupy(i); met != nil {
			refused = &h
			break
		}
		held = append(held, h)
	}
	if most == limitMost {
		l.wantMet(t, met, len(held))
		if l.at != nil {
			l.at(l, t, dir, held, refused)
		}
	} else {
		must(t, met)
	}
	if refused != nil {
		refused.wantRead(t, "not mapped")
		must(t, refused.Close())
	}
	useRuntime()
	for i, h := range held {
		h.wantRead(t, fmt.Sprintf("%d of %d", i, len(held)))
		must(t, h.occupy(i))
	}
	n := len(held)
	must(t, closeHeld(&held))
	_ = syncfs(dir)
	if !l.readOnly { // without the garbage collector
		wantFile(t, join(dir, "f"), fileContents())
		commitThenRestore(t, dir)
	}
	return n
}

// wantMet checks the error that the limit led to, with n snapshots open.
func (l *limit) wantMet(t *testing.T, err error, n int) {
	t.Helper()
	if err == nil {
		t.Fatalf("%d snapshots are open, and no limit was met", n)
	}
	l.wantError(t, fmt.Sprintf("with %d snapshots open", n), err)
	if n < 2 {
		t.Errorf("with %d snapshots open: %v", n, err)
	}
}

// wantError checks that err is the one of the limit, and says so.
func (l *limit) wantError(t *testing.T, what string, err error) {
	t.Helper()
	says := os.ExpandEnv(l.says)
	if !errors.Is(err, l.errno) || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v: is not %q, or does not say %q", what, err, l.errno, says)
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

// warmUp has the runtime take addresses for a heap, which it keeps, and threads.
func warmUp() {
	runtime.KeepAlive(make([]byte, 128<<20))
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
