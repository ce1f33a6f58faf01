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

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// What a process and a filesystem have in use.
type inventory struct {
	descriptors, mappings, names, goroutines int
	addresses, resident                      int64 // bytes
	blocks                                   int64 // bytes of the filesystem
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
		// Poisoned ranges that are neighbours count as one mapping, so this has to be looked at, too.
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

// Opening and closing, over and over, leaves no descriptor, mapping, name, disk block, memory or
// goroutine.
func TestOpenCloseLeavesNothing(t *testing.T) {
	for _, kind := range mounttest.Kinds(mounttest.Known) {
		t.Run(kind.String(), func(t *testing.T) {
			// One commit or snapshot of the file that were left behind would be 100 KiB, or on a
			// filesystem with reflinks what was changed of it; the runs are long enough to make that
			// more than the slack. Unmounting fails if a file is still used.
			leavesNothing(t, kind.Fresh(t, 512<<20), kind.Slack())
		})
	}
	t.Run("host", func(t *testing.T) { leavesNothing(t, mounttest.Dir(t, mounttest.Host), 1<<62) }) // others write there, too
}

func leavesNothing(t *testing.T, dir string, slack int64) {
	mounttest.Leaks(t)
	name := join(dir, "f")
	write(t, name, noise(1, 100_000))
	marathon(t, name, 20, 10) // what is made once
	before := take(t, dir)
	snapshots, commits := mounttest.Count(300, 10_000, 100_000), mounttest.Count(40, 1000, 10_000)
	marathon(t, name, snapshots, commits)
	var after inventory
	var more string
	for try := range 80 { // cleanups, and what the filesystem frees, take their time
		after = take(t, dir)
		if more = after.over(before, slack); more == "" {
			break
		}
		time.Sleep(time.Duration(try*10) * time.Millisecond)
	}
	if more != "" {
		t.Errorf("after %d snapshots and %d commits: %s", snapshots, commits, more)
	}
	t.Logf("%d snapshots, %d commits: %+v, before %+v", snapshots, commits, after, before)
}

// marathon reads snapshots of the file, and commits it, again and again.
func marathon(t testing.TB, name string, snapshots, commits int) {
	p := make([]byte, 5000)
	want := noise(1, 100_000)
	for i := range snapshots {
		m, err := snapshot.Open(name)
		must(t, err)
		for range 2 { // by a system call, and from the mapping
			_, err = m.ReadAt(p, 50_000)
			must(t, err)
		}
		if !bytes.Equal(p, want[50_000:55_000]) {
			t.Fatal("wrong bytes")
		}
		switch i % 10 { // the addresses go by way of the quarantine
		case 0:
			must(t, m.View(0, -1, func([]byte) error { return nil }))
		case 1:
			_ = m.Bytes()
		}
		must(t, m.Close())
	}
	for i := range commits {
		m, err := snapshot.OpenMut(name)
		must(t, err)
		for range 2 {
			_, err = m.WriteAt(want[20_000:25_000], 20_000)
			must(t, err)
		}
		must(t, m.Resize(int64(150_000+i%2*5_000_000))) // moves, sometimes
		must(t, m.Resize(int64(len(want))))
		if i%10 == 0 {
			must(t, m.CommitAndClose())
			continue
		}
		must(t, m.Commit())
		must(t, m.Close())
	}
	wantFile(t, name, want)
}
