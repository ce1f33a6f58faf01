package benchmarks

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// An edit is some pages of a file to be changed, all or none of them, and whether the change has
// to last from then on, or only to be whole whenever it comes.
type edit struct {
	size, pages int64
	durable     bool
}

const page = 4 * kib

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

func syncDir(tb testing.TB, name string) {
	dir, err := os.Open(name)
	check(tb, err)
	check(tb, dir.Sync())
	closing(tb, dir)
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

// BenchmarkCommit edits some pages of a file.
func BenchmarkCommit(b *testing.B) {
	each(b, mounttest.Known, func(b *testing.B, kind *mounttest.Kind, dir string) {
		sizes := upTo(16*mib, mib, 16*mib, 256*mib, gib)
		if kind.Has(mounttest.NoReflinks) {
			sizes = upTo(16*mib, mib, 16*mib, 256*mib)
		}
		for _, size := range sizes {
			for _, pages := range []int64{1, 100} {
				for _, durable := range []bool{true, false} {
					if (size >= gib || size > 16*mib && !kind.Has(mounttest.Reflinks)) && (pages > 1 || !durable) {
						continue // rewriting takes seconds
					}
					b.Run(fmt.Sprintf("size=%d/pages=%d/durable=%v", size, pages, durable), func(b *testing.B) {
						edit{size, pages, durable}.comparison(b, dir).Bench(b)
					})
				}
			}
		}
	})
}
