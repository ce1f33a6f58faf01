package benchmarks

import (
	"flag"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var guard = flag.Bool("guard", false, "compare best times: a lost fast path fails")

// TestGuard fails when a fast path is lost in a way that TestFastPaths cannot count. It is no part
// of go test ./..., because no test there depends on the clock. It takes the best of several
// rounds, which other programs on the machine do not make worse, and its factors leave room for
// machines of all kinds.
//
//	go test -run Guard ./benchmarks -guard
func TestGuard(t *testing.T) {
	if !*guard {
		t.Skip("compares times: only with -guard")
	}
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		small, large := file(t, dir, "small", 256*kib), file(t, dir, "large", 64*mib)
		t.Run("read", func(t *testing.T) { guardReads(t, large) })
		t.Run("small", func(t *testing.T) { guardSmall(t, dir) })
		t.Run("http", func(t *testing.T) { guardHTTP(t, dir) })
		if mounttest.Has(dir, mounttest.Reflinks) {
			t.Run("open", func(t *testing.T) { guardOpen(t, small, large) })
			t.Run("edit", func(t *testing.T) { guardEdit(t, dir) })
		} else {
			t.Run("sparse", func(t *testing.T) { guardSparse(t, dir, large) })
		}
		if mounttest.Has(dir, mounttest.Disk|mounttest.NoReflinks) {
			t.Run("lazy", func(t *testing.T) { guardLazy(t, small, large) })
		}
	})
}

// wantWithin checks that a way takes at most so many times as long as another one.
func wantWithin(t *testing.T, r interleave.Result, way string, factor float64, other string) {
	t.Helper()
	ratio := r.Least(way) / r.Least(other)
	t.Logf("%s by %s: %.3g", way, other, ratio)
	if ratio > factor {
		t.Errorf("%s takes %.3g times as long as %s, want at most %v", way, ratio, other, factor)
	}
}

// Opening is flat in size, and costs what the kernel's part of it does. A copy of 64 MiB takes some
// two hundred times as long.
func guardOpen(t *testing.T, small, large string) {
	a, b := opening(t, large), opening(t, small)
	a.Name, b.Name = "opening 64 MiB", "opening 256 KiB"
	r := interleave.Comparison{Ways: []interleave.Way{a, b, bare(t, small)}}.Run(101)
	wantWithin(t, r, "opening 64 MiB", 20, "opening 256 KiB")
	wantWithin(t, r, "opening 256 KiB", 10, "bare")
}

// Reading what is in memory costs little more than the copy: the guards against faults are cheap.
func guardReads(t *testing.T, name string) {
	r := readingHot(t, name, 16*mib, 64, 1).Run(101)
	for _, way := range []string{"Mmap", "MmapMut"} {
		wantWithin(t, r, way, 6, "mapping")
	}
}

// A small file is read by few system calls more than os.ReadFile makes. By a private file it would
// take ten times as long.
func guardSmall(t *testing.T, dir string) {
	smallFiles[0].run(t, dir, 1000, func(c interleave.Comparison) {
		wantWithin(t, c.Run(101), "Mmap", 4, "os.ReadFile")
	})
	wantWithin(t, readingFS(t, dir, 1000).Run(101), "FS", 7, "os.DirFS")
}

// An edit costs what is edited, not what the file holds: a hundredth of rewriting it.
func guardEdit(t *testing.T, dir string) {
	r := edit{size: 256 * mib, pages: 1, durable: true}.comparison(t, dir).Run(7)
	wantWithin(t, r, "Commit", 0.2, "rewrite")
	wantWithin(t, r, "CommitAndClose", 0.2, "rewrite")
}

// A copy costs the data, not the holes, which are 160 times as large.
func guardSparse(t *testing.T, dir, dense string) {
	a, b := opening(t, sparseFile(t, dir)), opening(t, dense)
	a.Name, b.Name = "copying 64 MiB among holes", "copying 64 MiB"
	r := interleave.Comparison{Ways: []interleave.Way{a, b}}.Run(7)
	wantWithin(t, r, "copying 64 MiB among holes", 20, "copying 64 MiB")
}

// A Handler hands memory to the kernel, at no loss against sendfile(2), and http.FileServerFS loses
// little by its buffer.
func guardHTTP(t *testing.T, dir string) {
	r := gettingHTTP(t, dir, 64*mib).Run(7)
	// The bars are 1.11 and 1.45 on an idle machine. httpfs has a test that memory is handed over.
	wantWithin(t, r, "Handler", 2, "FileServerFS(os.DirFS)")
	wantWithin(t, r, "FileServerFS(FS)", 3, "FileServerFS(os.DirFS)")
}

// With Lazy, opening is flat in size, and costs what the kernel's part of it does; and a read of what
// is in memory makes no system call. Making the copy would take hundreds of times as long.
func guardLazy(t *testing.T, small, large string) {
	a, b := openingLazy(t, large), openingLazy(t, small)
	a.Name, b.Name = "opening 64 MiB", "opening 256 KiB"
	r := interleave.Comparison{Ways: []interleave.Way{bareLease(t, small), a, b}}.Run(101)
	wantWithin(t, r, "opening 64 MiB", 3, "opening 256 KiB")
	wantWithin(t, r, "opening 256 KiB", 3, "bare")
	r = readingLazy(t, large, 16*mib, 4*kib).Run(101)
	wantWithin(t, r, "Lazy", 4, "Mmap")
}
