package benchmarks

import (
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A usage is what this process asked of the kernel, as proc_pid_io(5) has it.
type usage struct {
	calls   int64 // that read
	moved   int64 // bytes that calls read and wrote
	written int64 // bytes of dirty pages
}

// use returns what f asks of the kernel, but for what it takes to look.
func use(tb testing.TB, f func()) usage {
	tb.Helper()
	io, err := os.Open("/proc/self/io")
	if err != nil {
		tb.Skip(err) // a kernel without
	}
	defer io.Close()
	p := make([]byte, 512)
	now := func() usage {
		n, _ := io.ReadAt(p, 0)
		values := map[string]int64{}
		for line := range strings.Lines(string(p[:n])) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			values[key], err = strconv.ParseInt(value, 10, 64)
			check(tb, err)
		}
		return usage{values["syscr"], values["rchar"] + values["wchar"], values["write_bytes"]}
	}
	first, second := now(), now()
	f()
	third := now()
	return usage{
		third.calls - second.calls - (second.calls - first.calls),
		third.moved - second.moved - (second.moved - first.moved),
		third.written - second.written,
	}
}

// few is what may be moved beside the data: lists of extents, attributes.
const few = mib

// TestFastPaths fails when a fast path is lost, however fast the machine is: when a reflink has
// become a copy, a read from memory a system call, or when a commit writes what was not changed.
// The usual ways beside them show that the test can fail.
//
//promise:snapshot.Mmap.ReadAt ReadAt of pages known to be resident makes no system call
//promise:snapshot.MmapMut.ReadAt ReadAt of pages known to be resident makes no system call
//promise:snapshot.MmapMut.WriteAt WriteAt to pages stored to before makes no system call
//promise:snapshot.MmapMut.Commit by reflink Commit writes only the changed pages to the disk
func TestFastPaths(t *testing.T) {
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		large := file(t, dir, "large", 64*mib)
		t.Run("read", func(t *testing.T) { readsWithoutCalls(t, large) })
		t.Run("allocations", func(t *testing.T) { readsWithoutAllocations(t, large) })
		if mounttest.Has(dir, mounttest.Reflinks) {
			t.Run("open", func(t *testing.T) { opensWithoutData(t, large) })
			t.Run("edit", func(t *testing.T) { commitsWhatChanged(t, dir) })
		} else {
			t.Run("sparse", func(t *testing.T) { copiesNoHoles(t, dir) })
		}
	})
}

func opensWithoutData(t *testing.T, name string) {
	u := use(t, func() { opening(t, name).Do(1) })
	if u.moved+u.written > few {
		t.Errorf("opening 64 MiB: %+v", u)
	}
	if u := use(t, func() { readingAll(t, name).Do(1) }); u.moved < 64*mib {
		t.Errorf("this test proves nothing: reading 64 MiB: %+v", u)
	}
}

func readsWithoutCalls(t *testing.T, name string) {
	const n = 10_000
	for _, way := range readingHot(t, name, 16*mib, 4*kib, 1).Ways {
		u := use(t, func() { way.Do(n) })
		switch way.Name {
		case "Mmap", "MmapMut":
			if u.calls > n/100 { // the runtime makes some
				t.Errorf("%s: %d system calls in %d reads", way.Name, u.calls, n)
			}
		case "os.File":
			if u.calls < n {
				t.Errorf("this test proves nothing: os.File: %d system calls in %d reads", u.calls, n)
			}
		}
	}
}

func readsWithoutAllocations(t *testing.T, name string) {
	m, err := snapshot.Open(name)
	check(t, err)
	defer closing(t, m)
	mut, err := snapshot.OpenMut(name)
	check(t, err)
	defer closing(t, mut)
	p := make([]byte, 4*kib)
	for _, x := range []struct {
		what string
		do   func([]byte, int64) (int, error)
	}{{"Mmap.ReadAt", m.ReadAt}, {"MmapMut.ReadAt", mut.ReadAt}, {"MmapMut.WriteAt", mut.WriteAt}} {
		if n := testing.AllocsPerRun(100, func() { _, err = x.do(p, 4*kib) }); n != 0 || err != nil {
			t.Errorf("%s: %v allocations, %v", x.what, n, err)
		}
	}
}

// An edit costs what is edited, not what the file holds.
func commitsWhatChanged(t *testing.T, dir string) {
	for _, way := range (edit{size: 64 * mib, pages: 1, durable: true}).comparison(t, dir).Ways {
		u := use(t, func() { way.Do(1) })
		if way.Name == "rewrite" {
			if u.moved < 128*mib || u.written < 64*mib {
				t.Errorf("this test proves nothing: rewriting 64 MiB: %+v", u)
			}
			continue
		}
		if u.moved > few || u.written > few {
			t.Errorf("%s of a page in 64 MiB: %+v", way.Name, u)
		}
	}
}

// A copy moves the data and not the holes, and takes the disk that they take.
func copiesNoHoles(t *testing.T, dir string) {
	name := sparseFile(t, dir)
	u := use(t, func() { opening(t, name).Do(1) })
	if u.moved > 2*64*mib+few {
		t.Errorf("copying 64 MiB among holes: %+v", u)
	}
	if mounttest.Has(dir, mounttest.Private) {
		if n := diskUse(t, dir, name); n > 1.1*64*mib {
			t.Errorf("a copy of 64 MiB among holes takes %.0f bytes of disk", n)
		}
	}
	src, err := os.Open(name)
	check(t, err)
	defer closing(t, src)
	const piece = 320 * mib // one of two MiB is data
	whole := use(t, func() {
		_, err := io.CopyN(struct{ io.Writer }{io.Discard}, src, piece)
		check(t, err)
	})
	if whole.moved < piece {
		t.Errorf("this test proves nothing: reading %d bytes with the holes: %+v", piece, whole)
	}
}
