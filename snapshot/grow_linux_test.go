package snapshot_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// WriteGrow does what WriteAt on a longer slice would, wherever it writes and whatever was cut
// off before, also while a View shows that and stores into it; and commits have it all.
//
//promise:snapshot.MmapMut.WriteGrow the bytes between the old end and off are zeros
//promise:snapshot.MmapMut.WriteGrow bytes that a Resize cut off earlier do not come back
func TestWriteGrow(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		want := noise(1, 5)
		write(t, name, want)
		m := openMut(t, name)
		rnd := rand.New(rand.NewPCG(1, 2))
		lengths := []int{1, 100, 4095, 4096, 8192, 70_000}
		for i := range mounttest.Count(80, 1000, 10_000) {
			off, p := rnd.IntN(len(want)+5000), noise(uint64(i), lengths[rnd.IntN(len(lengths))])
			switch rnd.IntN(8) {
			case 0: // at the end, as appending does
				off = len(want)
			case 1: // ends with a page
				off = len(want) &^ 4095
				p = p[:min(len(p), 4096)]
			case 2:
				size := rnd.IntN(len(want) + 1)
				if size > 200_000 {
					size = 100
				}
				must(t, m.View(0, -1, func(b []byte) error {
					for k := range b[size:] {
						b[size+k] = 0xcc
					}
					return nil
				}))
				must(t, m.Resize(int64(size)))
				want = want[:size]
			case 3:
				must(t, m.Resize(int64(len(want)/2)))
				want = want[:len(want)/2]
			}
			n, err := m.WriteGrow(p, int64(off))
			if n != len(p) || err != nil {
				t.Fatal(n, err)
			}
			if end := off + len(p); end > len(want) {
				want = append(slices.Clip(want), make([]byte, end-len(want))...)
			}
			copy(want[off:], p)
			if i%20 == 0 {
				must(t, m.Commit())
				wantFile(t, name, want)
			}
			wantContents(t, m, want)
		}
		must(t, m.CommitAndClose())
		wantFile(t, name, want)
	})
}

// What cannot be written is refused, and changes nothing.
func TestWriteGrowRefuses(t *testing.T) {
	name := join(mounttest.Dir(t, mounttest.Memory), "f")
	write(t, name, []byte("abc"))
	m := openMut(t, name)
	for _, x := range []struct {
		p    string
		off  int64
		want error
	}{
		{"x", -1, nil}, {"xy", math.MaxInt64, syscall.EFBIG}, {"xy", math.MaxInt64 - 3, nil}, {"", 100, nil},
	} {
		n, err := m.WriteGrow([]byte(x.p), x.off)
		if n != 0 || (err == nil) != (x.p == "") || x.want != nil && !errors.Is(err, x.want) {
			t.Errorf("%q at %d: %d, %v", x.p, x.off, n, err)
		}
		wantContents(t, m, []byte("abc"))
	}
	must(t, m.Close())
	for _, off := range []int64{0, 100} {
		if _, err := m.WriteGrow([]byte("x"), off); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("closed, at %d: %v", off, err)
		}
	}
}

// On a full disk it ends behind what could be written, and what could not leaves nothing that
// shows later.
//
//promise:snapshot.MmapMut.WriteGrow if WriteGrow fails, the snapshot ends behind the written bytes
func TestWriteGrowFullDisk(t *testing.T) {
	m := create(t, join(mounttest.Fresh(t, mounttest.Memory, 1<<20), "f"))
	p := bytes.Repeat([]byte("x"), 300_000)
	size, err := int64(0), error(nil)
	for err == nil {
		var n int
		n, err = m.WriteGrow(p, size)
		size += int64(n)
	}
	if !errors.Is(err, syscall.ENOSPC) || m.Size() != size || size <= 900_000 || size > 1<<20 {
		t.Fatalf("%v; %d bytes were written, the size is %d", err, size, m.Size())
	}
	must(t, m.Resize(size+5000))
	tail := make([]byte, 5000)
	_, err = m.ReadAt(tail, size)
	must(t, err)
	wantBytes(t, "behind the end", tail, make([]byte, 5000))
}

// A commit finds all of a WriteGrow or nothing.
//
//promise:snapshot.MmapMut.WriteGrow a commit contains all of a WriteGrow or nothing of it
func TestWriteGrowIsOneStep(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		name := join(dir, "f")
		write(t, name, nil)
		m := openMut(t, name)
		const record = 3000
		stop := make(chan struct{})
		var wg sync.WaitGroup
		defer wg.Wait()
		defer close(stop)
		wg.Go(func() {
			p := bytes.Repeat([]byte{1}, record)
			for i := int64(0); ; i = (i + 1) % 100 {
				select {
				case <-stop:
					return
				default:
				}
				if i == 0 {
					must(t, m.Resize(0))
				}
				if _, err := m.WriteGrow(p, i*record); err != nil {
					t.Error(err)
				}
			}
		})
		whole := func(what string, p []byte) {
			if len(p)%record != 0 || bytes.IndexByte(p, 0) >= 0 {
				t.Errorf("%s: %d bytes, zeros from %d on", what, len(p), bytes.IndexByte(p, 0))
			}
		}
		for range mounttest.Count(30, 150, 5000) {
			must(t, m.Commit())
			p, err := os.ReadFile(name)
			must(t, err)
			whole("commit", p)
			if n := m.Size(); n%record != 0 {
				t.Errorf("size %d", n)
			}
		}
	})
}
