package snapshot_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A write that fails says how much it wrote: that is changed, and nothing else.
//
//promise:snapshot.MmapMut.WriteAt a write that fails returns how many bytes it wrote
//promise:snapshot.MmapMut.WriteGrow a write that fails returns how many bytes it wrote
func TestFailedWriteCounts(t *testing.T) {
	onSmallDisks(t, func(t *testing.T, dir string) {
		name := join(dir, "f")
		const size = 4 << 20
		data := noise(1, 2*size)
		clear(data[size:]) // a hole
		write(t, name, data[:size])
		m := openMut(t, name)
		must(t, m.Resize(2*size))
		rounds := mounttest.Count(10, 40, 40)
		for i := range rounds {
			write(t, join(dir, fmt.Sprint("room", i)), noise(1, 20<<10))
		}
		fill(t, join(dir, "filler"))
		r, failed := rand.New(rand.NewPCG(1, 2)), 0
		for i := range rounds { // in each, a bit of space is free
			must(t, os.Remove(join(dir, fmt.Sprint("room", i))))
			for try := range 500 {
				off, n := r.IntN(2*size-128<<10), 1+r.IntN([]int{2, 128 << 10}[try%2])
				if try%4 == 0 {
					off, n = off&^4095+4000, 200
				}
				p := noise(uint64(try), n)
				k, err := m.WriteAt(p, int64(off))
				copy(data[off:], p[:k])
				if err == nil {
					continue
				}
				if !errors.Is(err, syscall.ENOSPC) {
					t.Fatal(err)
				}
				failed++
				got := make([]byte, n)
				_, err = m.ReadAt(got, int64(off))
				must(t, err)
				wantBytes(t, fmt.Sprint("after ", k, " bytes of ", n), got, data[off:off+n])
				if failed%3 == 0 {
					break
				}
			}
		}
		if failed == 0 {
			t.Error("no write failed")
		}
		wantBytes(t, "all", byReadAt(t, m), data)
		must(t, m.Close())
	})
}

// A pwrite that writes less than it was given is made again for the rest.
func TestShortWrites(t *testing.T) {
	name := join(mounttest.Dir(t, mounttest.Private), "f")
	write(t, name, noise(1, 10000))
	m := openMut(t, name)
	real := sys.Pwrite
	defer func() { sys.Pwrite = real }()
	calls := 0
	sys.Pwrite = func(fd int, p []byte, off int64) (int, error) {
		if calls++; calls == 4 {
			return 0, syscall.EIO
		}
		return real(fd, p[:min(len(p), 100)], off)
	}
	p := noise(2, 250)
	n, err := m.WriteAt(p, 10)
	if n != 250 || err != nil || calls != 3 {
		t.Errorf("%d, %v, %d calls", n, err, calls)
	}
	calls = 2
	n, err = m.WriteAt(p, 5000)
	wantError(t, err, syscall.EIO, "write "+name+": input/output error")
	if n != 100 {
		t.Errorf("%d bytes were written", n)
	}
}
