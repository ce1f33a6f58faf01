package snapshot_test

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// holes is what Mmap and MmapMut know of holes.
type holes interface {
	SeekData(off int64) (int64, error)
	SeekHole(off int64) (int64, error)
	Size() int64
}

// walkHoles calls data with each range that is not in a hole, and checks that they have an order.
func walkHoles(t *testing.T, m holes, data func(off, end int64)) {
	t.Helper()
	for off := int64(0); ; {
		start, err := m.SeekData(off)
		if errors.Is(err, syscall.ENXIO) {
			return
		}
		must(t, err)
		end, err := m.SeekHole(start)
		must(t, err)
		if start < off || end <= start || end > m.Size() {
			t.Fatalf("data from %d on: [%d,%d)", off, start, end)
		}
		data(start, end)
		off = end
	}
}

// All bytes that are not zero are data, also those just written, by WriteAt or View; and what is
// far from any data is a hole.
//
//promise:snapshot.Mmap.SeekData all bytes but zeros are data, and holes of the file are holes
//promise:snapshot.Mmap.SeekHole all bytes but zeros are data, and holes of the file are holes
//promise:snapshot.MmapMut.SeekData written bytes are data before the commit
//promise:snapshot.MmapMut.SeekHole written bytes are data before the commit
func TestHoles(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		const size, far = 64 << 20, 1 << 20
		name := join(dir, "f")
		write(t, name, nil)
		f := openFile(t, name, os.O_RDWR)
		must(t, f.Truncate(size))
		written := []int64{0, 5 << 20, 40<<20 + 12345}
		for _, off := range written {
			_, err := f.WriteAt([]byte("data"), off)
			must(t, err)
		}
		must(t, f.Sync())
		check := func(m holes) {
			t.Helper()
			found, total := 0, int64(0)
			walkHoles(t, m, func(off, end int64) {
				total += end - off
				for _, at := range written {
					if off <= at && at < end {
						found++
					}
				}
			})
			if found != len(written) || total > int64(len(written))*far {
				t.Errorf("%T: %d of %d places are data, %d bytes", m, found, len(written), total)
			}
		}
		m, mut := open(t, name), openMut(t, name)
		check(m)
		check(mut)

		_, err := mut.WriteAt([]byte("more"), 20<<20)
		must(t, err)
		must(t, mut.View(30<<20, 4, func(b []byte) error {
			copy(b, "view")
			return nil
		}))
		_, err = mut.WriteGrow([]byte("grown"), size+10<<20)
		must(t, err)
		written = append(written, 20<<20, 30<<20, size+10<<20)
		check(mut)
	})
}

// The same calls give what lseek(2) gives for the file.
//
//promise:snapshot.Mmap.SeekData where no data follow it is ENXIO; after Close fs.ErrClosed
//promise:snapshot.Mmap.SeekHole the end of the file is a hole
func TestHolesLikeLseek(t *testing.T) {
	dir := t.TempDir()
	name := join(dir, "f")
	write(t, name, noise(1, 10_000))
	f, m, mut := openFile(t, name, os.O_RDWR), open(t, name), openMut(t, name)
	for range 2 {
		size := m.Size()
		for _, off := range []int64{0, 1, 4096, size - 1, size, size + 1, 1 << 62} {
			wantData, dataErr := f.Seek(off, 3)
			wantHole, holeErr := f.Seek(off, 4)
			for _, m := range []holes{m, mut} {
				at, err := m.SeekData(off)
				if at != wantData || errors.Is(err, syscall.ENXIO) != errors.Is(dataErr, syscall.ENXIO) {
					t.Errorf("%T.SeekData(%d): %d, %v; lseek: %d, %v", m, off, at, err, wantData, dataErr)
				}
				at, err = m.SeekHole(off)
				if at != wantHole || errors.Is(err, syscall.ENXIO) != errors.Is(holeErr, syscall.ENXIO) {
					t.Errorf("%T.SeekHole(%d): %d, %v; lseek: %d, %v", m, off, at, err, wantHole, holeErr)
				}
			}
		}
		write(t, name, nil)
		m, mut = open(t, name), openMut(t, name)
	}
	must(t, m.Close())
	if _, err := m.SeekData(0); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
}

// SeekData and SeekHole do not report bytes that a failed write leaves behind the size.
func TestHolesEndAtSize(t *testing.T) {
	const size = 10_000
	m := create(t, join(t.TempDir(), "f"))
	appendTo(t, m, noise(1, 3*size), size)
	snapshot.Region(m).SetSize(size)
	if at, err := m.SeekHole(0); at != size || err != nil {
		t.Errorf("hole at %d, %v", at, err)
	}
	for _, seek := range []func(off int64) (int64, error){m.SeekData, m.SeekHole} {
		for _, off := range []int64{-1, size + 1} { // btrfs takes -1 for 0
			if at, err := seek(off); !errors.Is(err, syscall.ENXIO) {
				t.Error(at, err)
			}
		}
	}
}
