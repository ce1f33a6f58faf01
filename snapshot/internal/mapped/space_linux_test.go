package mapped

import (
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
)

// maxMapCount returns the limit of mappings, and skips the test where it is too high to be met.
func maxMapCount(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/vm/max_map_count")
	must(t, err)
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	must(t, err)
	if n > 100_000 {
		t.Skip("vm.max_map_count is ", n)
	}
	return n
}

// A program that has nearly as many mappings as the kernel allows lives: no more regions are
// mapped, and the error says why; ReadAt goes on; and when some are closed, others can be mapped.
func TestMappingsRunOut(t *testing.T) {
	alone(t, func() {
		const room = 1500
		_, giveBack := takeMappings(t, maxMapCount(t)-mappings(t)-room)
		before := mappings(t)
		for round := range 2 {
			var all []*Region
			var err error
			for err == nil && len(all) < room {
				r := newRegion(t, "text", 8192, false)
				all = append(all, r)
				err = r.Prefetch(0, 4)
			}
			if !errors.Is(err, syscall.ENOMEM) || !strings.Contains(err.Error(), "vm.max_map_count") {
				t.Fatalf("round %d: %d regions were mapped, then: %v", round, len(all)-1, err)
			}
			if len(all) < room/2 {
				t.Errorf("round %d: only %d regions were mapped", round, len(all))
			}
			for _, r := range all {
				wantText(t, r, "text")
				wantText(t, r, "text")
			}
			// The garbage collector can give mappings back in between.
			if r := all[len(all)-1]; r.Bytes() != nil && r.Prefetch(0, 4) != nil {
				t.Error("memory where there is none")
			}
			useRuntime()
			for _, r := range all {
				must(t, r.Close())
			}
		}
		collect()
		if n := mappings(t); n > before+500 {
			t.Errorf("%d mappings, %d before", n, before)
		}
		giveBack()
	})
}

// Where other code has taken every mapping, so that the kernel replaces none, closed memory faults,
// and is given back.
func TestClosedWithoutMappings(t *testing.T) {
	race := debug.BuildSetting{Key: "-race", Value: "true"}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, race) {
		t.Skip("the race detector ends a program that has no mappings left")
	}
	alone(t, func() {
		limit := maxMapCount(t)
		const n = 100
		var all []*Region
		var mem [][]byte
		for range n {
			r := newRegion(t, "text", 8192, false)
			must(t, r.Prefetch(0, 4))
			all, mem = append(all, r), append(mem, r.Mapped())
		}
		_, giveBack := takeMappings(t, limit-mappings(t)-100)
		useRuntime()
		debug.SetGCPercent(-1)
		runtime.GC()
		_, giveRestBack := takeMappings(t, -1)
		for i, r := range all {
			must(t, r.Close())
			all[i] = nil
		}
		for _, b := range mem {
			if !systest.Faults(func() { _ = string(b[:1]) }) {
				t.Fatal("the memory of a closed region can be used")
			}
		}
		giveRestBack()
		before := mappings(t)
		_, giveRestBack = takeMappings(t, limit-before-1)
		defer giveRestBack()
		collect()
		giveBack()
		if left := mappings(t); left > before-n/2 {
			t.Errorf("%d mappings, %d before", left, before)
		}
	})
}

// A count that fails, as without descriptors, leaves the last one, changed by what was mapped.
func TestCountFails(t *testing.T) {
	s := addressSpace{ranges: 10}
	s.count()
	total := s.total
	if total == 0 || s.added != 0 {
		t.Fatalf("%d mappings, and %d", total, s.added)
	}
	s.ranges += 5
	var old unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: old.Max}))
	s.count()
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old))
	if s.total != total || s.added != 5 {
		t.Errorf("%d mappings, and %d, want %d, and 5", s.total, s.added, total)
	}
	if err := s.read("/", func([]byte) {}); err == nil {
		t.Error("what cannot be read counts as empty")
	}
}
