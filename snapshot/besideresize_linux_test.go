package snapshot_test

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// ReadAt, Size and Stat wait for nobody: they work while Resize holds all its locks, at every
// call of the kernel that it makes, and see the snapshot as it was or as it will be.
//
//promise:snapshot.MmapMut.ReadAt ReadAt works while a Resize holds its locks
//promise:snapshot.MmapMut.Size Size works while a Resize holds its locks
//promise:snapshot.MmapMut.Stat Stat works while a Resize holds its locks
func TestReadAtInsideResize(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		data := noise(1, 100000)
		name := join(dir, "f")
		write(t, name, data)
		for _, size := range []int64{10, 100001, 10 << 20} { // cut off, grow, move
			m := openMut(t, name)
			p := make([]byte, len(data))
			_, err := m.ReadAt(p, 0) // from now on by the mapping
			must(t, err)
			calls := 0
			var reading atomic.Bool
			undo := systest.Intercept(t, func(string) error {
				if reading.Swap(true) {
					return nil // ReadAt makes this call
				}
				defer reading.Store(false)
				calls++
				done := make(chan struct{})
				go func() {
					defer close(done)
					clear(p)
					n, err := m.ReadAt(p, 0)
					if err != nil && (err != io.EOF || size >= int64(len(data))) { //nolint:errorlint // io.EOF itself is promised
						t.Error(err)
					}
					if n != len(data) && int64(n) != size {
						t.Error(n)
					}
					wantBytes(t, "ReadAt", p[:min(int64(n), size)], data[:min(int64(n), size)])
					if n := m.Size(); n != int64(len(data)) && n != size {
						t.Error(n)
					}
					_, err = m.Stat()
					must(t, err)
				}()
				select {
				case <-done:
				case <-time.After(time.Minute):
					panic("ReadAt waits for Resize") // t.Fatal would wait for it, too
				}
				return nil
			})
			err = m.Resize(size)
			undo()
			must(t, err)
			if calls == 0 {
				t.Error("Resize called nothing")
			}
		}
	})
}

// Beside a Resize to less and back, ReadAt returns what was there or zeros, and never less than
// what stayed.
//
//promise:snapshot.MmapMut.ReadAt beside a smaller Resize ReadAt returns old bytes or zeros
func TestReadAtBesideResize(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		const most, least = 64 << 10, 30000
		data := bytes.Repeat([]byte{'d'}, most)
		name := join(dir, "f")
		write(t, name, data)
		m := openMut(t, name)
		stop := make(chan struct{})
		var readers sync.WaitGroup
		for range 3 {
			readers.Go(func() {
				p := make([]byte, most)
				for {
					select {
					case <-stop:
						return
					default:
					}
					n, err := m.ReadAt(p, 0)
					if err != nil && err != io.EOF || n < least { //nolint:errorlint // io.EOF itself is promised
						t.Error(n, err)
						return
					}
					wantBytes(t, "what stayed", p[:least], data[:least])
					for i, b := range p[least:n] {
						if b != 'd' && b != 0 {
							t.Errorf("%q at %d", b, least+i)
							return
						}
					}
				}
			})
		}
		for i := range mounttest.Count(60, 1500, 500000) {
			must(t, m.Resize(least))
			if i%20 == 0 {
				must(t, m.Resize(int64(len(data)+i<<16))) // moves, now and then
			}
			must(t, m.Resize(most))
			_, err := m.WriteAt(data[least:], least)
			must(t, err)
		}
		close(stop)
		readers.Wait()
	})
}
