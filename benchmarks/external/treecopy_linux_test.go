package external

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A file that somebody keeps writing to, through the same mount or behind it, is copied as it was at one
// instant, or not at all: then the error is ErrUnstable.
func TestTreeUnstable(t *testing.T) {
	mounttest.Leaks(t)
	for _, test := range []struct {
		name   string
		tree   fusetest.TreeConfig
		behind bool
	}{
		{"Plain", plainTree, false},
		{"Cached", cachedTree, false},
		{"Writeback", writebackTree, false}, // not behind: the kernel takes itself for the only writer
		{"PlainBehind", plainTree, true},
		{"CachedBehind", cachedTree, true},
		{"ReadOnlyBehind", readOnlyTree, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			const size = 2 << 20
			tree, back := newTree(t, test.tree)
			must(t, os.WriteFile(filepath.Join(back, "f"), make([]byte, size), 0o644))
			at := tree.Dir()
			if test.behind {
				at = back
			}
			defer keepWriting(t, filepath.Join(at, "f"), size)()
			copies, torn, unstable := 0, 0, 0
			for range mounttest.Count(1, 2, 100) {
				m, err := snapshot.Open(filepath.Join(tree.Dir(), "f"))
				if err != nil {
					wantIs(t, err, snapshot.ErrUnstable)
					unstable++
					continue
				}
				data := make([]byte, size)
				_, err = m.ReadAt(data, 0)
				must(t, err)
				must(t, m.Close())
				copies++
				if !oneInstant(data) {
					torn++
				}
			}
			t.Logf("%d copies, %d of them torn, %d times unstable", copies, torn, unstable)
			if torn > 0 {
				t.Errorf("%d copies, %d of them torn, %d times unstable", copies, torn, unstable)
			}
		})
	}
}

// step is how much a writer writes at once.
const step = 64 << 10

// keepWriting has somebody write one version after the other to a file, each by many writes.
func keepWriting(t *testing.T, name string, size int) (stop func()) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	var enough atomic.Bool
	var writer sync.WaitGroup
	writer.Go(func() {
		for version := byte(1); !enough.Load(); version++ {
			data := bytes.Repeat([]byte{version}, step)
			for off := 0; off < size; off += step {
				if _, err := f.WriteAt(data, int64(off)); err != nil {
					t.Error(err)
				}
			}
		}
	})
	return func() {
		enough.Store(true)
		writer.Wait()
		must(t, f.Close())
	}
}

// oneInstant reports whether data is a state between two of the writes of keepWriting.
func oneInstant(data []byte) bool {
	last := len(data) - step
	for off := step; off <= last; off += step {
		if now := data[off]; now != data[0] && (now != data[0]-1 || data[last] != now) {
			return false
		}
	}
	return true
}

// Two writes so soon after one another that they leave the same times, the second of them in the middle of
// the copy, do not make a torn one. With a write-back cache the kernel's clock ticks every few milliseconds.
func TestTreeTick(t *testing.T) {
	tree, _ := newTree(t, writebackTree)
	mounttest.Leaks(t)
	const size = 512 << 10 // two chunks of a copy
	f, err := os.Create(filepath.Join(tree.Dir(), "f"))
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(size))
	poke := func(off int64, b byte) {
		_, err := f.WriteAt([]byte{b}, off)
		must(t, err)
	}
	for i := range mounttest.Count(20, 40, 1000) {
		before, after := byte(2*i), byte(2*i+1)
		written := false
		c := snapshot.Config{Progress: func(done, total int64) {
			if !written && done < total {
				poke(0, after)
				poke(size-1, after)
				written = true
			}
		}}
		poke(0, before)
		m, err := c.Open(context.Background(), f.Name())
		must(t, err)
		data := make([]byte, size)
		_, err = m.ReadAt(data, 0)
		must(t, err)
		if !written || data[0] == before && data[size-1] == after {
			t.Errorf("%d: torn, or not written to: %v", i, written)
		}
		must(t, m.Close())
	}
}

// Copying from a slow server can be given up within a chunk, and leaves nothing; Progress says how far it got.
func TestTreeCancel(t *testing.T) {
	eachTree(t, func(t *testing.T, tree *fusetest.Tree, back string) {
		const size = 16 << 20
		must(t, os.WriteFile(filepath.Join(back, "f"), bytes.Repeat([]byte("data"), size/4), 0o644))
		tree.Delay(t, 20*time.Millisecond)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		last := int64(0)
		c := snapshot.Config{Progress: func(done, total int64) {
			if done <= last && last < total || total != size {
				t.Errorf("%d, then %d of %d", last, done, total)
			}
			last = done
			if done > 1<<20 && ctx.Err() == nil {
				cancel()
				tree.Requests(t)
			}
		}}
		_, err := c.Open(ctx, filepath.Join(tree.Dir(), "f"))
		wantIs(t, err, context.Canceled)
		reads := tree.Requests(t).Got["READ"]
		t.Logf("%d bytes copied, %d reads after it was cancelled", last, reads)
		if last > 4<<20 || reads > 16 { // read ahead
			t.Errorf("%d bytes copied, %d reads after it was cancelled", last, reads)
		}
	})
}

// While a server is waited for, other goroutines go on, even with a single processor, as reading is a
// system call. Touching a mapping of the file holds up all, which shows that the test can fail.
func TestTreeSlow(t *testing.T) {
	tree, back := newTree(t, plainTree)
	must(t, os.WriteFile(filepath.Join(back, "f"), noise(page), 0o644))
	all := []fusetest.Range{fusetest.Everything}
	for _, way := range []string{"Open", touch} {
		wantOthersGoOn(t, tree, all, way, filepath.Join(tree.Dir(), "f"))
	}
}

// What the server cannot read is EIO, wherever it is, and nothing is left of the copy.
func TestTreeReadFault(t *testing.T) {
	data := noise(1000 * page)
	eachTree(t, func(t *testing.T, tree *fusetest.Tree, back string) {
		if strings.HasSuffix(t.Name(), "Unnamed") {
			return // the server copies by itself
		}
		must(t, os.WriteFile(filepath.Join(back, "f"), data, 0o644))
		name := filepath.Join(tree.Dir(), "f")
		for _, off := range []int64{0, 500*page + 7, 1000*page - 1} {
			tree.FailReads(t, fusetest.Range{Off: off, Len: 1})
			for kind, open := range openings {
				_, err := open(name)
				wantIs(t, err, syscall.EIO)
				if err != nil && !strings.HasSuffix(err.Error(), ": pread: input/output error") {
					t.Errorf("%s: %v", kind, err)
				}
			}
			tree.Heal(t)
			m, err := snapshot.Open(name)
			must(t, err)
			wantContents(t, m, data)
			must(t, m.Close())
		}
		wantNames(t, back, "f")
	})
}
