package mapped

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// aloneEnv names the test that this process was started for.
const aloneEnv = "MAPPED_TEST_ALONE"

// alone runs f in a process of its own, which may be ended by it.
func alone(t *testing.T, f func()) {
	t.Helper()
	if os.Getenv(aloneEnv) == t.Name() {
		f()
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), aloneEnv+"="+t.Name())
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Fatalf("%v\n%s", err, out[:min(len(out), 4000)])
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("%s", out)
	default:
		t.Logf("%s", out)
	}
}

// newRegion returns a region of a new file in memory, of size bytes: text, and a hole.
func newRegion(t testing.TB, text string, size int64, writable bool) *Region {
	t.Helper()
	fd, err := sys.Memfd("mapped-test")
	must(t, err)
	_, err = sys.Pwrite(fd, []byte(text), 0)
	must(t, err)
	must(t, sys.Ftruncate(fd, size))
	r, err := New(os.NewFile(uintptr(fd), "mapped-test"), size, uint32(os.Geteuid()), writable, false)
	must(t, err)
	return r
}

// wantText checks what a region begins with, by ReadAt.
func wantText(t testing.TB, r *Region, text string) {
	t.Helper()
	p := make([]byte, len(text))
	if n, err := r.ReadAt(p, 0); err != nil || string(p[:n]) != text {
		t.Fatalf("%q, %v, want %q", p[:n], err, text)
	}
}

// mappings counts the mappings of the process.
func mappings(t testing.TB) int {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	must(t, err)
	return bytes.Count(maps, []byte("\n"))
}

// collect runs the garbage collector and the cleanups.
func collect() {
	for range 3 {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
}

// takeMappings makes n mappings of one page, none of which the kernel joins with another. If n is
// negative it makes them until there are no more.
func takeMappings(t testing.TB, n int) (mem [][]byte, giveBack func()) {
	t.Helper()
	fd, err := sys.Memfd("mapped-test")
	must(t, err)
	defer unix.Close(fd)
	mem = make([][]byte, 0, 1<<17)
	for ; n != 0; n-- {
		b, err := sys.Mmap(fd, os.Getpagesize(), false)
		if n < 0 && err != nil {
			break
		}
		must(t, err)
		mem = append(mem, b)
	}
	return mem, func() {
		for _, b := range mem {
			must(t, sys.Munmap(b))
		}
	}
}

// useRuntime needs memory and threads.
func useRuntime() {
	for range 100 {
		_ = make([]byte, 1<<20)
	}
	runtime.GC()
	var threads sync.WaitGroup
	for range 20 {
		threads.Go(runtime.LockOSThread)
	}
	threads.Wait()
}
