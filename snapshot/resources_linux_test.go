package snapshot_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// A Mmap holds one descriptor, a MmapMut three, and after a commit too. Each holds one mapping from when
// it is needed: a ReadAt of pages that are in memory, View or Bytes. A snapshot that is read once, or
// written by calls, has none.
//
//promise:snapshot.Mmap a Mmap holds one descriptor, and one mapping once it is needed
//promise:snapshot.MmapMut a MmapMut holds three descriptors, and one mapping once it is needed
func TestDescriptorsAndMappings(t *testing.T) {
	privateFiles(t)
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100000))
		before := take(t, dir)
		held := func(what string, descriptors, mappings int) {
			t.Helper()
			now := take(t, dir)
			if n := now.descriptors - before.descriptors; n != descriptors {
				t.Errorf("%s: %d descriptors", what, n)
			}
			if n := mappingsOf(t, dir); n != mappings {
				t.Errorf("%s: %d mappings, want %d", what, n, mappings)
			}
		}
		p := make([]byte, 100000)
		read := func(m reader) {
			t.Helper()
			_, err := m.ReadAt(p, 0)
			must(t, err)
		}
		needs := map[string]func(m reader){
			"ReadAt":   func(m reader) { read(m); read(m) }, // taking the inventory sweeps
			"View":     func(m reader) { must(t, m.View(0, 1, func([]byte) error { return nil })) },
			"Bytes":    func(m reader) { _ = m.Bytes() },
			"Prefetch": func(m reader) { must(t, m.Prefetch(0, 1)) },
		}
		for what, need := range needs {
			r := open(t, name)
			held("Mmap", 1, 0)
			read(r)
			held("Mmap, read once", 1, 0)
			need(r)
			held("Mmap, "+what, 1, 1)
			must(t, r.Close())
			m := openMut(t, name)
			held("MmapMut", 3, 0)
			read(m)
			_, err := m.WriteAt(p[:10], 0)
			must(t, err)
			_, err = m.WriteGrow(p, 100000)
			must(t, err)
			must(t, m.Commit())
			held("MmapMut after a commit", 3, 0)
			need(m)
			held("MmapMut, "+what, 3, 1)
			must(t, m.Close())
		}
		if n := mappingsOf(t, dir); n != 0 {
			t.Errorf("closed: %d mappings", n)
		}
	})
}

// mappingsOf counts the mappings of files in a directory, or of such as lost their names there.
func mappingsOf(t testing.TB, dir string) int {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	must(t, err)
	// An unnamed file is shown below the root of its filesystem or in the directory it was made in.
	root := filepath.Dir(dir)
	return strings.Count(string(maps), root+"/")
}

// The addresses that Bytes lent are kept from reuse for a while, 64 GiB of them at most (64 MiB
// on 32 bits), the oldest going first, and the newest stays, however large it is.
//
//promise:snapshot.Mmap.Close addresses from Bytes are kept from reuse for a while, 64 GiB at most
func TestQuarantineIsBounded(t *testing.T) {
	mounttest.Leaks(t)
	limit := 64 << 20
	if math.MaxInt > math.MaxInt32 {
		limit <<= 10
	}
	size := limit / 8 * 3
	name := join(mounttest.Dir(t, mounttest.Reflinks), "f")
	write(t, name, nil)
	must(t, os.Truncate(name, int64(size)))
	emptyQuarantine()
	for range 5 {
		m, err := snapshot.Open(name)
		must(t, err)
		_ = m.Bytes()
		must(t, m.Close())
	}
	for i := 0; ; i++ {
		runtime.GC()
		kept := mapped.QuarantinedBytes()
		if kept > limit {
			t.Fatalf("%d bytes are kept, %d allowed", kept, limit)
		}
		if kept >= 2*size && i >= 10 {
			break
		}
		if i == 1000 {
			t.Fatalf("only %d bytes are kept", kept)
		}
		time.Sleep(time.Millisecond) // the cleanups run on a goroutine of their own
	}
	emptyQuarantine()
	if math.MaxInt == math.MaxInt32 {
		return // there are no addresses for more
	}
	must(t, os.Truncate(name, int64(limit)+1))
	m, err := snapshot.Open(name)
	must(t, err)
	b := m.Bytes()
	must(t, m.Close())
	m = nil
	for range 10 {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	if kept := mapped.QuarantinedBytes(); kept <= limit {
		t.Errorf("%d bytes are kept", kept)
	}
	wantFault(t, func() { _ = bytes.Clone(b[:1]) })
	mapped.EmptyQuarantine()
}

// emptyQuarantine gives back what other tests have left, too.
func emptyQuarantine() {
	for range 5 {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	mapped.EmptyQuarantine()
}

// Prefetch returns when the pages are there, and they can be touched; View sees to the first
// 128 KiB of what it shows.
//
//promise:snapshot.Mmap.Prefetch the pages are resident when Prefetch returns
//promise:snapshot.Mmap.View View makes the first 128 KiB of its bytes resident
//promise:snapshot.MmapMut.Prefetch the pages are resident when Prefetch returns
func TestPrefetch(t *testing.T) { smallAndPrivate(t, prefetch) }

func prefetch(t *testing.T) {
	mounttest.EachOf(t, mounttest.Disk, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		const size, prefault = 16 << 20, 128 << 10
		name := join(dir, "f")
		write(t, name, noise(1, size))
		m := open(t, name)
		snapshot.Evict(t, m, 0, size)
		must(t, m.View(1<<20, 8<<20, func([]byte) error {
			if !m.Resident(1<<20, prefault) || snapshot.PagesMapped(t, m) < prefault/os.Getpagesize() {
				t.Error("View: the first pages are not there")
			}
			if m.Resident(1<<20, prefault+4096) {
				t.Error("View: the pages behind them are said to be there")
			}
			return nil
		}))
		must(t, m.Prefetch(8<<20, 4<<20))
		if !m.Resident(8<<20, 4<<20) || m.Resident(12<<20, 4096) {
			t.Error("not what was asked for")
		}
		must(t, m.Prefetch(0, -1))
		if n, want := snapshot.InMemory(t, m), size/os.Getpagesize(); n != want || snapshot.PagesMapped(t, m) != want {
			t.Errorf("%d of %d pages are in memory, %d in the page tables", n, want, snapshot.PagesMapped(t, m))
		}
	})
}

// OpenMut does not open the file for writing, which would break a lease and fail on a program
// that runs.
//
//promise:snapshot.Config.OpenMut OpenMut never opens the file for writing
func TestOpenMutOnlyReads(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 1000))
		f := openFile(t, name, os.O_RDONLY)
		_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
		must(t, err)
		m := openMut(t, name)
		must(t, m.CommitAndClose())
		if kind, err := unix.FcntlInt(f.Fd(), unix.F_GETLEASE, 0); kind != unix.F_RDLCK || err != nil {
			t.Errorf("the lease is %d, %v", kind, err)
		}
	})
}

// Without a lease to be had, a writer is waited for: four tries, 7 ms in all, or ten and half a
// second where a lease must be had. For a small file another try comes first, without a pause. One
// more, after the copy, tells whether the writer is still there.
//
//promise:snapshot.Config.Open a writer is waited for: 7 ms in four attempts
//promise:snapshot.Config.RequireConsistent a writer is waited for: half a second in ten attempts
func TestWritersAreWaitedFor(t *testing.T) {
	for size, first := range map[int]int{1000: 1, 200_000: 0} {
		t.Run(fmt.Sprint(size), func(t *testing.T) { writersAreWaitedFor(t, size, first) })
	}
}

func writersAreWaitedFor(t *testing.T, size, first int) {
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, size))
		openFile(t, name, os.O_RDWR)
		for consistent, want := range map[bool]int{false: 4 + 1, true: 10} {
			calls := systest.CountCalls(t)
			m, err := snapshot.Config{RequireConsistent: consistent}.Open(context.Background(), name)
			if n := calls("setlease"); n != want+first {
				t.Errorf("RequireConsistent %v: a lease was tried for %d times", consistent, n)
			}
			if err == nil {
				must(t, m.Close())
			}
		}
	})
}

// Holes count for Progress, and what is done falls back when the file has to be copied again.
//
//promise:snapshot.Config.Progress done counts holes, and falls when the copy starts again
func TestProgressCountsHoles(t *testing.T) {
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		const size = 64 << 20
		name := join(dir, "f")
		write(t, name, noise(1, 1<<20))
		must(t, os.Truncate(name, size))
		f := openFile(t, name, os.O_RDWR)
		last, fell := int64(0), 0
		c := snapshot.Config{Progress: func(done, total int64) {
			if total != size {
				t.Errorf("%d of %d", done, total)
			}
			if done < last {
				fell++
			}
			if last = done; done == size && fell == 0 {
				_, err := f.WriteAt([]byte("x"), 0)
				must(t, err)
			}
		}}
		m, err := c.Open(context.Background(), name)
		must(t, err)
		must(t, m.Close())
		if last != size || fell != 1 {
			t.Errorf("%d of %d, fell back %d times", last, int64(size), fell)
		}
	})
}

// What Bytes returned of a snapshot that is dropped without Close stays as it is: the garbage
// collector cannot see whether somebody still has it.
//
//promise:snapshot.Mmap.Bytes memory from Bytes stays valid if the snapshot is dropped without Close
func TestBytesOutliveTheSnapshot(t *testing.T) { smallAndPrivate(t, bytesOutliveTheSnapshot) }

func bytesOutliveTheSnapshot(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		name := join(dir, "f")
		data := noise(1, 10000)
		write(t, name, data)
		r, err := snapshot.Open(name)
		must(t, err)
		m, err := snapshot.OpenMut(name)
		must(t, err)
		slices := [][]byte{r.Bytes(), m.Bytes()}
		r, m = nil, nil
		emptyQuarantine()
		for _, b := range slices {
			if systest.Faults(func() { wantBytes(t, "Bytes", b, data) }) {
				t.Error("the memory is gone")
				continue
			}
			must(t, unix.MunmapPtr(unsafe.Pointer(&b[0]), uintptr(cap(b))))
		}
	})
}
