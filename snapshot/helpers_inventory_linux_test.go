package snapshot_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"golang.org/x/sys/unix"
)

// What a process and a filesystem have in use.
type inventory struct {
	descriptors, mappings, names, goroutines int
	addresses, resident                      int64 // bytes
	blocks                                   int64 // bytes of the filesystem
}

// over tells what i has more of than before, beyond what the kernel and the runtime take and give
// back as they see fit.
func (i inventory) over(before inventory, slack int64) string {
	var more []string
	for _, c := range []struct {
		what        string
		now, before int64
		more        int64
		whose       string
	}{
		{"descriptors", int64(i.descriptors), int64(before.descriptors), 2, "the runtime's epoll and eventfd, made once"},
		{"mappings", int64(i.mappings), int64(before.mappings), 20, "the heap's arenas, stacks of new threads"},
		{"names", int64(i.names), int64(before.names), 0, ""},
		{"goroutines", int64(i.goroutines), int64(before.goroutines), 1, "the one that runs cleanups, the sweep's timer"},
		// The kernel counts revoked ranges that are neighbours as one mapping. Therefore the
		// inventory has their bytes, too.
		{"bytes of addresses", i.addresses, before.addresses, 20 << 20, "the heap's arenas"},
		{"resident bytes", i.resident, before.resident, 8 << 20, "threads' caches of the heap, the race detector's shadow"},
		{"used bytes", i.blocks, before.blocks, slack, "see there"},
	} {
		if c.now > c.before+c.more {
			more = append(more, fmt.Sprintf("%d %s, %d before", c.now, c.what, c.before))
		}
	}
	return strings.Join(more, "; ")
}

// take looks after the garbage collector and what the filesystem does in the background.
func take(t testing.TB, dir string) (i inventory) {
	t.Helper()
	for range 3 { // an object with a cleanup takes two
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
	}
	mapped.EmptyQuarantine()
	defer mapped.HoldSweeper()()
	mapped.Sweep()
	debug.FreeOSMemory()
	must(t, syncfs(dir))
	var st unix.Statfs_t
	must(t, unix.Statfs(dir, &st))
	i.blocks = int64(st.Blocks-st.Bfree) * int64(st.Bsize)
	i.descriptors, i.names = countNames(t, "/proc/self/fd"), countNames(t, dir)
	i.goroutines = runtime.NumGoroutine()
	maps, err := os.ReadFile("/proc/self/maps")
	must(t, err)
	i.mappings = bytes.Count(maps, []byte("\n"))
	statm, err := os.ReadFile("/proc/self/statm")
	must(t, err)
	_, err = fmt.Sscan(string(statm), &i.addresses, &i.resident)
	must(t, err)
	i.addresses *= int64(os.Getpagesize())
	i.resident *= int64(os.Getpagesize())
	return i
}

func countNames(t testing.TB, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	return len(entries)
}
