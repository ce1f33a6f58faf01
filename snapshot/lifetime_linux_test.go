package snapshot_test

import (
	"bytes"
	"context"
	"math"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A slice of Bytes faults after Close; it does not show what is mapped next.
//
//promise:snapshot.Mmap.Bytes an access to a slice of Bytes faults after Close
func TestStaleSlice(t *testing.T) { smallAndPrivate(t, staleSlice) }

func staleSlice(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100000))
		r, err := snapshot.Open(name) // not by open, which would keep it
		must(t, err)
		m, err := snapshot.OpenMut(name)
		must(t, err)
		stale := [][]byte{r.Bytes(), m.Bytes()}
		must(t, r.Close())
		must(t, m.Close())
		r, m = nil, nil
		for range 3 { // the objects are gone, their addresses are not
			runtime.GC()
			time.Sleep(time.Millisecond) // the cleanups run on a goroutine of their own
		}
		for i := range 100 {
			next := open(t, name)
			if b := next.Bytes(); &b[0] == &stale[0][0] || &b[0] == &stale[1][0] {
				t.Fatal("addresses used again, mapping", i)
			}
		}
		for _, b := range stale {
			wantFault(t, func() { _ = bytes.Clone(b[5000:5001]) })
		}
	})
}

// The memory of a View stays until the last of them ends, whatever is called inside, and is
// gone then.
//
//promise:snapshot.Mmap.View the memory stays mapped until f returns, even if f calls Close
//promise:snapshot.MmapMut.View the memory stays mapped until f returns, even if f calls Close
func TestViewOutlivesEverything(t *testing.T) { smallAndPrivate(t, viewOutlivesEverything) }

func viewOutlivesEverything(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 100000)
		write(t, name, data)
		r := open(t, name)
		var kept []byte
		must(t, r.View(0, -1, func(b []byte) error {
			return r.View(10, 50000, func(c []byte) error {
				must(t, r.Close())
				wantBytes(t, "outer", b, data)
				wantBytes(t, "inner", c, data[10:50010])
				kept = b
				return nil
			})
		}))
		wantFault(t, func() { _ = bytes.Clone(kept[:1]) })

		m := openMut(t, name)
		must(t, m.View(0, -1, func(b []byte) error {
			must(t, m.Resize(100<<20)) // moves
			copy(b, "stored through the old memory")
			p := make([]byte, 29)
			_, err := m.ReadAt(p, 0)
			must(t, err)
			wantBytes(t, "the new memory", p, []byte("stored through the old memory"))
			must(t, m.Commit())
			wantError(t, m.Resize(50), syscall.EBUSY, "resize "+name+": a View or Prefetch is running: device or resource busy")
			_ = bytes.Clone(b)
			must(t, m.Close())
			wantBytes(t, "after Close", b[:29], []byte("stored through the old memory"))
			kept = b
			return nil
		}))
		wantFault(t, func() { _ = bytes.Clone(kept[:1]) })
	})
}

// Snapshots that are dropped without Close are given back by the garbage collector,
// descriptors, memory and all; only memory that Bytes returned is not, because somebody may
// have it.
//
//promise:snapshot.Mmap the garbage collector releases a snapshot that is dropped without Close
//promise:snapshot.MmapMut the garbage collector releases a snapshot that is dropped without Close
func TestDropped(t *testing.T) { smallAndPrivate(t, checkDropped) }

func checkDropped(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100000))
		for range mounttest.Count(50, 500, 5000) {
			r, err := snapshot.Open(name)
			must(t, err)
			must(t, r.View(0, -1, func(b []byte) error { return nil }))
			m, err := snapshot.OpenMut(name)
			must(t, err)
			must(t, m.Resize(200000))
		}
		runtime.GC()
	})
}

// Closed snapshots of huge files do not use the addresses up, though the garbage collector does not know how large they
// are.
//
//promise:snapshot.Mmap.Close if addresses run out, those of closed snapshots are released
func TestAddressesDoNotRunOut(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, nil)
		must(t, os.Truncate(name, min(1<<40, math.MaxInt>>2))) // some hundred exceed the address space
		for i := range mounttest.Count(300, 1000, 10000) {
			m, err := snapshot.Open(name)
			if err != nil {
				t.Fatal(i, err)
			}
			if i%2 == 0 {
				_ = m.Bytes() // through the quarantine
			}
			must(t, m.Close())
		}
	})
}

// A panic in Progress, which its caller may recover from, leaves no lock behind.
//
//promise:snapshot.Config.Progress a panic of the function leaves no lock behind
func TestPanicInProgress(t *testing.T) { smallAndPrivate(t, panicInProgress) }

func panicInProgress(t *testing.T) {
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 10000))
		var armed bool
		m, err := snapshot.Config{Progress: func(_, _ int64) {
			if armed {
				panic("mine")
			}
		}}.OpenMut(context.Background(), name)
		must(t, err)
		armed = true
		func() {
			defer func() {
				if r := recover(); r != "mine" {
					t.Error(r)
				}
			}()
			_ = m.Commit()
		}()
		_, err = m.WriteAt([]byte("x"), 0)
		must(t, err)
		must(t, m.Close())
		wantNames(t, dir, "f")
	})
}
