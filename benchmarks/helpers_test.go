package benchmarks

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

const page = 4 * kib

func check(tb testing.TB, err error) {
	if err != nil {
		tb.Helper() // takes longer than much of what is measured
		tb.Fatal(err)
	}
}

func closing(tb testing.TB, c io.Closer) { check(tb, c.Close()) }

// each runs f on every kind of filesystem with the properties, in a directory of its own.
func each(b *testing.B, p mounttest.Property, f func(b *testing.B, kind *mounttest.Kind, dir string)) {
	for _, kind := range mounttest.Kinds(p) {
		b.Run("fs="+kind.String(), func(b *testing.B) { f(b, kind, kind.Dir(b)) })
	}
}

// upTo returns those of sizes that a run with -short makes, which are those up to limit, or all.
func upTo(limit int64, sizes ...int64) []int64 {
	for i, size := range sizes {
		if testing.Short() && size > limit {
			return sizes[:i]
		}
	}
	return sizes
}

// file makes a file of size random bytes, on the disk already.
func file(tb testing.TB, dir, base string, size int64) string {
	tb.Helper()
	name := filepath.Join(dir, base)
	f, err := os.Create(name)
	check(tb, err)
	defer f.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, io.LimitReader(rand.NewChaCha8([32]byte{1}), size), make([]byte, mib))
	check(tb, err)
	check(tb, f.Sync())
	return name
}

// cold makes a reflink of the file src under a new name: nothing of it is in the page cache,
// whoever reads it. It replaces the one before, and returns its name.
func cold(tb testing.TB, src string) string {
	tb.Helper()
	name := src + ".cold"
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		tb.Fatal(err)
	}
	from, err := os.Open(src)
	check(tb, err)
	defer from.Close()
	to, err := os.Create(name)
	check(tb, err)
	defer to.Close()
	check(tb, syscalls.Ficlone(int(to.Fd()), int(from.Fd())))
	return name
}

// An edit is some pages of a file to be changed, all or none of them, and whether the change has
// to last from then on, or only to be whole whenever it comes.
type edit struct {
	size, pages int64
	durable     bool
}

// stores writes the pages that are edited.
func (e edit) stores(tb testing.TB, w io.WriterAt) {
	p := make([]byte, page)
	for range e.pages {
		p[0]++
		_, err := w.WriteAt(p, rand.Int64N(e.size/page)*page)
		check(tb, err)
	}
}

// rewrite edits the ordinary way: all of the file is written to a new one, which reaches the
// disk before it is renamed over the old one, and then the directory.
func (e edit) rewrite(tb testing.TB, name string) {
	src, err := os.Open(name)
	check(tb, err)
	defer closing(tb, src)
	dst, err := os.CreateTemp(filepath.Dir(name), "rewrite")
	check(tb, err)
	defer closing(tb, dst)
	// Through a buffer: else the kernel would make a reflink of it, which is the other way.
	_, err = io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, mib))
	check(tb, err)
	e.stores(tb, dst)
	check(tb, dst.Sync())
	check(tb, os.Rename(dst.Name(), name))
	if e.durable {
		syncDir(tb, filepath.Dir(name))
	}
}

// comparison is of three ways to edit: rewrite; opening, storing and CommitAndClose; and Commit
// by a snapshot that stays open.
func (e edit) comparison(tb testing.TB, dir string) interleave.Comparison {
	rewritten := file(tb, dir, "rewritten", e.size)
	closed := file(tb, dir, "closed", e.size)
	committed := file(tb, dir, "committed", e.size)
	config := snapshot.Config{NoSync: !e.durable}
	stays, err := config.OpenMut(context.Background(), committed)
	check(tb, err)
	tb.Cleanup(func() { closing(tb, stays) })
	return interleave.Comparison{Ways: []interleave.Way{
		interleave.Once("rewrite", func() { e.rewrite(tb, rewritten) }),
		interleave.Once("CommitAndClose", func() {
			m, err := config.OpenMut(context.Background(), closed)
			check(tb, err)
			e.stores(tb, m)
			check(tb, m.CommitAndClose())
		}),
		interleave.Once("Commit", func() {
			e.stores(tb, stays)
			check(tb, stays.Commit())
		}),
	}}
}

func syncDir(tb testing.TB, name string) {
	dir, err := os.Open(name)
	check(tb, err)
	check(tb, dir.Sync())
	closing(tb, dir)
}

// goroutines returns the numbers of them to measure with. Whatever readers write to in common
// would show with one for each core.
func goroutines() []int {
	if n := runtime.GOMAXPROCS(0); n > 1 {
		return []int{1, n}
	}
	return []int{1}
}

// parallel shares n operations out to g goroutines.
func parallel(g, n int, f func(n int)) {
	if g == 1 {
		f(n)
		return
	}
	var wg sync.WaitGroup
	for i := range g {
		wg.Go(func() { f((n + i) / g) })
	}
	wg.Wait()
}

// inMemory is the limit: bytes on the heap.
var inMemory = opener{"memory", func(name string) (readerAt, error) {
	p, err := os.ReadFile(name)
	return struct {
		io.ReaderAt
		io.Closer
	}{bytes.NewReader(p), io.NopCloser(nil)}, err
}}
