package snapshot_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Beside appends and Views, all that is within the size can be read. Beside a Resize to less, what stays can; what is cut off reads as it was, as
// zeros or not at all.
//
//promise:snapshot.MmapMut.ReadAt beside appends, all bytes within the size can be read
func TestReadAtBesideAppends(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		for range mounttest.Count(1, 10, 2000) {
			readBesideAppends(t, dir, false)
			readBesideAppends(t, dir, true)
		}
	})
}

func readBesideAppends(t *testing.T, dir string, cut bool) {
	const least, piece = 30_000, 700
	data := noise(1, 400_000)
	m := create(t, join(dir, "f"))
	appendTo(t, m, data[:least], piece)
	stop := make(chan struct{})
	var others sync.WaitGroup
	beside := func(do func()) {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					do()
				}
			}
		})
	}
	check := func(what string, p []byte, off int) {
		for i, b := range p {
			if b != data[off+i] && !(cut && b == 0 && off+i >= least) {
				k := i
				for k < len(p) && p[k] == 0 {
					k++
				}
				t.Errorf("%s, cut %v: %d at %d, not %d; zeros to %d of [%d,%d)", what, cut, b, off+i, data[off+i], off+k, off, off+len(p))
				return
			}
		}
	}
	for range 2 {
		buf := make([]byte, len(data)+10_000)
		beside(func() {
			stays := least
			if !cut {
				stays = int(m.Size())
			}
			off := stays - rand.IntN(5000)
			p := buf[:1+rand.IntN(len(data)-off+5000)]
			n, err := m.ReadAt(p, int64(off))
			if n < min(len(p), stays-off) || (n < len(p)) != (err == io.EOF) || err != nil && err != io.EOF { //nolint:errorlint // io.EOF itself is promised
				t.Errorf("cut %v: %d of %d bytes at %d, %v; %d are there", cut, n, len(p), off, err, stays)
			}
			check("ReadAt", p[:n], off)
		})
	}
	beside(func() {
		off := least - rand.Int64N(5000)
		must(t, m.View(off, -1, func(b []byte) error {
			check("View", b, int(off))
			return nil
		}))
	})
	for range (len(data) - least) / piece {
		size := m.Size()
		if cut && rand.IntN(20) == 0 {
			if err := m.Resize(least + rand.Int64N(size-least+1)); !errors.Is(err, syscall.EBUSY) { // a View runs
				must(t, err)
			}
			continue
		}
		n := int64(piece)
		if rand.IntN(100) == 0 {
			n = min(40_000, int64(len(data))-size)
		}
		appendTo(t, m, data[:min(size+n, int64(len(data)))], int(n))
	}
	close(stop)
	others.Wait()
	must(t, m.Close())
}
