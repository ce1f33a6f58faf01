package snapshot_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Many commits of many small changes lose no change, and the number of extents stays bounded.
//
//promise:snapshot.MmapMut.Commit many commits of small changes do not add up extents
func TestExtentsStayBounded(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		const size, pages = 64 << 20, 100
		name := join(dir, "f")
		model := noise(1, size)
		write(t, name, model)
		must(t, syncFile(name))
		m := openMut(t, name)
		r := rand.New(rand.NewPCG(1, 2))
		commits := mounttest.Count(25, 120, 1000)
		var times []time.Duration
		var extents []int
		for i := range commits {
			for range pages {
				p := noise(r.Uint64(), 4096)
				off := r.IntN(size/4096) * 4096
				copy(model[off:], p)
				if _, err := m.WriteAt(p, int64(off)); err != nil {
					t.Fatal(err)
				}
			}
			start := time.Now()
			must(t, m.Commit())
			times = append(times, time.Since(start))
			n, err := snapshot.PrivateExtents(m)
			must(t, err)
			extents = append(extents, n)
			if i%50 == 49 {
				wantFile(t, name, model)
			}
		}
		wantFile(t, name, model)
		wantNames(t, dir, "f")
		if most := slices.Max(extents); most > 6000 {
			t.Errorf("%d extents", most)
		}
		last := min(100, commits/2)
		slices.Sort(times[:20])
		slices.Sort(times[commits-last:])
		t.Logf("median commit: first 20 %v, last %d %v; extents in the end %d, at most %d",
			times[10], last, times[commits-last/2], extents[commits-1], slices.Max(extents))
	})
}

// Stores made through a mapping while a window is put in order are not lost.
//
//promise:snapshot.MmapMut.Commit defragmentation of the private file loses no store
func TestDefragmentBesideStores(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		const size = 4 << 20
		name := join(dir, "f")
		write(t, name, make([]byte, size))
		m := openMut(t, name)
		stop := make(chan struct{})
		var storer sync.WaitGroup
		mem := m.Bytes()
		model := make([]byte, size)
		storer.Go(func() {
			r := rand.New(rand.NewPCG(3, 4))
			for {
				select {
				case <-stop:
					return
				default:
				}
				off, v := r.IntN(size), byte(r.Uint32())
				mem[off], model[off] = v, v
			}
		})
		for range mounttest.Count(5, 40, 1000) {
			must(t, snapshot.DefragAll(m))
			must(t, m.Commit())
		}
		close(stop)
		storer.Wait()
		if !bytes.Equal(mem, model) {
			t.Error("a store is lost")
		}
		must(t, m.Commit())
		got, err := os.ReadFile(name)
		must(t, err)
		wantBytes(t, name, got, model)
	})
}
