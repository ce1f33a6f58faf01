//go:build linux

package snapshot_test

import (
	"bytes"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// ReadAt, Size and Stat wait for nobody: they work while Resize holds all its locks, at every
// call of the kernel that it makes, and see the snapshot as it was or as it will be.
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
			undo := systest.Intercept(t, func(string) error {
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

// What stays when a snapshot shrinks can be read all the time, though a View keeps what was cut off,
// which becomes zeros when it grows again.
func TestReadAtBesideDiscard(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		const least, size = 30_000, 64 << 10
		data := noise(1, size)
		for range mounttest.Count(20, 200, 20_000) {
			m := create(t, join(dir, "f"))
			_, err := m.WriteGrow(data, 0) // at once, so that XFS keeps it together in memory
			must(t, err)
			must(t, m.View(0, -1, func(b []byte) error {
				must(t, m.Resize(least))
				stop := make(chan struct{})
				var reader sync.WaitGroup
				reader.Go(func() {
					p := make([]byte, 5000)
					for {
						select {
						case <-stop:
							return
						default:
						}
						_, err := m.ReadAt(p, least-5000)
						must(t, err)
						wantBytes(t, "ReadAt", p, data[least-5000:least])
						wantBytes(t, "View", b[least-5000:least], data[least-5000:least])
					}
				})
				must(t, m.Resize(size))
				close(stop)
				reader.Wait()
				return nil
			}))
			got := make([]byte, size-least)
			_, err = m.ReadAt(got, least)
			must(t, err)
			wantBytes(t, "what was cut off", got, make([]byte, size-least))
			must(t, m.Close())
		}
	})
}

// That what is cut off becomes zeros takes no disk space.
func TestDiscardFullDisk(t *testing.T) {
	onSmallDisks(t, func(t *testing.T, dir string) {
		m := create(t, join(dir, "f"))
		must(t, m.Resize(1<<20))
		fill(t, join(dir, "filler"))
		must(t, m.View(0, -1, func([]byte) error {
			must(t, m.Resize(5000))
			return m.Resize(1 << 20)
		}))
		wantBytes(t, "ReadAt", byReadAt(t, m), make([]byte, 1<<20))
	})
}
