package mapped

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
)

// needAddresses skips a test of files that 32 bits cannot map.
func needAddresses(t *testing.T) {
	t.Helper()
	if math.MaxInt == math.MaxInt32 {
		t.Skip("there are no addresses for that")
	}
}

// Sparse files of any number and size leave addresses to the program, and to small files: of those
// that cannot be mapped, ReadAt reads with pread(2).
func TestAddressesRunOut(t *testing.T) {
	needAddresses(t)
	most := largest(maxBudget())
	alone(t, func() {
		for _, size := range []int64{most, most / 4, maxBudget()/64 + 1, maxBudget() / 64} {
			var all []*Region
			var limit error
			for range 200 {
				r := newRegion(t, "text", size, false)
				all = append(all, r)
				wantText(t, r, "text")
				wantText(t, r, "text")
				if err := r.Prefetch(0, 4); err != nil {
					limit = err
					// The garbage collector can give addresses back in between.
					if r.Bytes() != nil && r.Prefetch(0, 4) != nil {
						t.Error("memory where there is none")
					}
				}
			}
			if !errors.Is(limit, syscall.ENOMEM) || !strings.Contains(limit.Error(), "of all addresses") {
				t.Errorf("200 files of %d bytes: %v", size, limit)
			}
			useRuntime()
			if size > maxBudget()/64 {
				for range 100 {
					r := newRegion(t, "text", 1<<30, false)
					must(t, r.Prefetch(0, 4))
					all = append(all, r)
				}
			}
			for _, r := range all {
				must(t, r.Close())
			}
		}
		r := newRegion(t, "text", most/4, false) // the runtime may have split the addresses
		must(t, r.Prefetch(0, 4))
		must(t, r.Close())
	})
}

// A size that can never be mapped is an error at once: no garbage collection runs, and the
// addresses of stale slices are not given to others.
func TestImpossibleSize(t *testing.T) {
	needAddresses(t)
	stale := newRegion(t, "text", 8192, false)
	b := stale.Bytes()
	must(t, stale.Close())
	stale = nil
	collect()
	kept := QuarantinedBytes()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := newRegion(t, "text", 8192, true)
	defer r.Close()
	for _, size := range []int64{largest(maxBudget()) + 1, 1 << 50, math.MaxInt64} {
		if err := r.Reserve(size); !errors.Is(err, syscall.ENOMEM) {
			t.Errorf("%d bytes: %v", size, err)
		}
		r.SetSize(size)
		if err := r.Prefetch(0, 4); !errors.Is(err, syscall.ENOMEM) && !errors.Is(err, syscall.EFBIG) {
			t.Errorf("%d bytes: %v", size, err)
		}
		wantText(t, r, "text")
		wantText(t, r, "text")
	}
	runtime.ReadMemStats(&after)
	if after.NumForcedGC != before.NumForcedGC {
		t.Errorf("%d garbage collections", after.NumForcedGC-before.NumForcedGC)
	}
	if n := QuarantinedBytes(); n != kept || !systest.Faults(func() { _ = bytes.Clone(b[:1]) }) {
		t.Errorf("%d bytes are in quarantine, %d before", n, kept)
	}
}

// If memory cannot be mapped, ReadAt does not try it on each call.
func TestReadAtRetriesSeldom(t *testing.T) {
	r := newRegion(t, "text", 8192, false)
	defer r.Close()
	calls := 0
	systest.Intercept(t, func(call string) error {
		if call == "mmap" {
			calls++
			return syscall.ENOMEM
		}
		return nil
	})
	for range 100 {
		wantText(t, r, "text")
	}
	if calls < 1 || calls > 10 {
		t.Errorf("100 calls tried to map %d times", calls)
	}
}

// Half of RLIMIT_AS is left to the program.
func TestAddressLimit(t *testing.T) {
	needAddresses(t)
	alone(t, func() {
		var old unix.Rlimit
		must(t, unix.Getrlimit(unix.RLIMIT_AS, &old))
		const limit = 1 << 40
		if old.Max < limit {
			t.Skip("RLIMIT_AS is ", old.Max)
		}
		must(t, unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: limit, Max: old.Max}))
		r := newRegion(t, "text", 8192, false)
		err := r.Reserve(limit/16*7 + 1)
		if !errors.Is(err, syscall.ENOMEM) || !strings.Contains(err.Error(), "RLIMIT_AS") {
			t.Error(err)
		}
		must(t, r.Reserve(limit/16*7))
	})
}

// vmFlags returns what the kernel says of the mapping that b begins, as in proc_pid_smaps(5).
func vmFlags(t *testing.T, b []byte) []string {
	t.Helper()
	smaps, err := os.ReadFile("/proc/self/smaps")
	must(t, err)
	_, rest, ok := strings.Cut("\n"+string(smaps), "\n"+fmt.Sprintf("%p-", b)[len("0x"):])
	_, rest, ok2 := strings.Cut(rest, "\nVmFlags:")
	if !ok || !ok2 {
		t.Fatal("not mapped")
	}
	line, _, _ := strings.Cut(rest, "\n")
	return strings.Fields(line)
}

// Core dumps leave out private copies, also when they have grown.
func TestNotInCoreDumps(t *testing.T) {
	r := newRegion(t, "text", 8192, true)
	defer r.Close()
	for _, size := range []int64{8192, 1 << 20, 8 << 20} {
		must(t, sys.Ftruncate(r.FD(), size))
		r.SetSize(size)
		must(t, r.Prefetch(0, size))
		if flags := vmFlags(t, r.Mapped()); !slices.Contains(flags, "dd") {
			t.Errorf("%d bytes: flags are %q", size, flags)
		}
	}
}

// dropCapabilities takes all capabilities from the process.
func dropCapabilities(t *testing.T) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none)), 0)
	if errno == syscall.ENOTSUP {
		t.Skip("a program with cgo cannot call that on all threads")
	}
	if errno != 0 {
		t.Fatal(errno)
	}
}

// A program that locks all its memory, up to a limit, can map and close as often as any other. The
// limit does not count memory that is closed; more than the limit is an error that names it.
func TestLockedMemory(t *testing.T) {
	alone(t, func() {
		const size = 1 << 20
		// Without the capability, which root has, memory that is locked from now on counts.
		must(t, unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 8 << 20, Max: 8 << 20}))
		dropCapabilities(t)
		must(t, unix.Mlockall(unix.MCL_FUTURE))
		defer unix.Munlockall()
		for i := range 30 {
			r := newRegion(t, "text", size, false)
			if err := r.Prefetch(0, size); err != nil {
				t.Fatal(i, err)
			}
			if i%2 == 0 {
				_ = r.Bytes()
			}
			must(t, r.Close())
		}
		r := newRegion(t, "text", 16<<20, false)
		err := r.Prefetch(0, size)
		if !errors.Is(err, syscall.ENOMEM) || !strings.Contains(err.Error(), "RLIMIT_MEMLOCK") {
			t.Error(err)
		}
		wantText(t, r, "text")
		wantText(t, r, "text")
	})
}

// A region that grows maps more than it needs only where the addresses suffice for that.
func TestGrowNearLimit(t *testing.T) {
	needAddresses(t)
	alone(t, func() {
		var old unix.Rlimit
		must(t, unix.Getrlimit(unix.RLIMIT_AS, &old))
		const limit = 1 << 43
		must(t, unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: limit, Max: old.Max}))
		var all []*Region
		var err error
		for err == nil { // until but the least is left
			r := newRegion(t, "text", limit/1024, true)
			all = append(all, r)
			err = r.Prefetch(0, 4)
		}
		size := int64(limit/1024 - 100<<20)
		must(t, all[0].Close())
		all[0] = nil
		collect()
		r := newRegion(t, "text", size/2-100<<20, true)
		must(t, r.Prefetch(0, 4))
		must(t, sys.Ftruncate(r.FD(), size/2))
		r.SetSize(size / 2)
		must(t, r.Prefetch(size/2-4, 4))
		for _, r := range append(all[1:], r) {
			must(t, r.Close())
		}
	})
}

// Files that are not small leave an eighth of the budget to those that are.
func TestBudgetIsLeftToSmallFiles(t *testing.T) {
	budget, _ := addressBudget()
	s := addressSpace{bytes: largest(budget) - 1<<20}
	small := budget >> smallShift
	for length, fits := range map[int64]bool{
		1 << 20: true, small: true, small + 1: small < 1<<20, small + 1<<20: false,
	} {
		if err := s.fits(length, 0); (err == nil) != fits {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
	s.bytes = budget - small
	if s.fits(small, 0) != nil || s.fits(small+1, 0) == nil {
		t.Error("small files cannot use all of the budget, or more than that")
	}
}

// A region that takes more than half of the budget can grow: the old mapping is given back.
func TestLargeRegionGrows(t *testing.T) {
	needAddresses(t)
	alone(t, func() {
		var old unix.Rlimit
		must(t, unix.Getrlimit(unix.RLIMIT_AS, &old))
		const limit, size = 1 << 36, 20 << 30
		if old.Max < limit {
			t.Skip("RLIMIT_AS is ", old.Max)
		}
		must(t, unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: limit, Max: old.Max}))
		r := newRegion(t, "text", size, true)
		must(t, r.Prefetch(0, 1))
		must(t, sys.Ftruncate(r.FD(), size+4096))
		r.SetSize(size + 4096)
		must(t, r.Prefetch(size, 1))
	})
}
