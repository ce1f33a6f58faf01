package extentdiff

import (
	"errors"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

const block = 4096

// pretend replaces FIEMAP by maps of extents, of which the descriptor is the index. before is called
// before each call, with its number.
func pretend(t *testing.T, maps [][]syscalls.Extent, before func(call int)) {
	t.Helper()
	real := sys.Fiemap
	t.Cleanup(func() { sys.Fiemap = real })
	call := 0
	sys.Fiemap = func(fd int, off, n int64, sync bool, room []syscalls.Extent) (int, error) {
		if !sync {
			t.Error("FIEMAP without FIEMAP_FLAG_SYNC")
		}
		before(call)
		call++
		count := 0
		for _, e := range maps[fd] {
			overlaps := int64(e.Logical+e.Length) > off && int64(e.Logical) < off+n
			if overlaps && count < len(room) {
				room[count] = e
				count++
			}
		}
		return count, nil
	}
}

// all compares the first size bytes with room for a number of extents.
func all(t *testing.T, size int64, room int) (parts []Part) {
	t.Helper()
	c := NewComparer(size)
	for i := range c.buffers {
		c.buffers[i] = make([]syscalls.Extent, room)
	}
	for at := int64(0); !c.Done(); {
		window, err := c.Next(0, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range window {
			if p.Off != at || p.End <= p.Off {
				t.Fatalf("part %v behind %d", p, at)
			}
			at = p.End
		}
		if at != c.Offset() {
			t.Fatalf("the parts end at %d, and the window at %d", at, c.Offset())
		}
		parts = append(parts, window...)
	}
	return parts
}

// extent returns n blocks at offset off, stored at address, in blocks.
func extent(off, n, address uint64, flags syscalls.ExtentFlags) syscalls.Extent {
	return syscalls.Extent{
		Logical: off * block, Length: n * block, Physical: address * block, Flags: flags,
	}
}

func TestVerdicts(t *testing.T) {
	const (
		encoded   = syscalls.ExtentEncoded
		unwritten = syscalls.ExtentUnwritten
		shared    = syscalls.ExtentShared
	)
	for _, test := range []struct {
		name     string
		old, new []syscalls.Extent
		want     Verdict // of block 4
	}{
		{"no extents", nil, nil, Same},
		{"one address", []syscalls.Extent{extent(4, 1, 9, 0)}, []syscalls.Extent{extent(4, 1, 9, shared)}, Same},
		{"one address in extents that begin elsewhere",
			[]syscalls.Extent{extent(2, 4, 7, 0)}, []syscalls.Extent{extent(4, 1, 9, 0)}, Same},
		{"another address", []syscalls.Extent{extent(4, 1, 9, 0)}, []syscalls.Extent{extent(4, 1, 8, 0)}, MayDiffer},
		{"one address at another offset",
			[]syscalls.Extent{extent(4, 1, 9, 0)}, []syscalls.Extent{extent(3, 2, 9, 0)}, MayDiffer},
		{"a hole and data", nil, []syscalls.Extent{extent(4, 1, 9, 0)}, MayDiffer},
		{"a hole and a preallocated extent", nil, []syscalls.Extent{extent(4, 1, 9, unwritten)}, Same},
		{"preallocated extents", []syscalls.Extent{extent(4, 1, 8, unwritten)},
			[]syscalls.Extent{extent(4, 1, 9, unwritten)}, Same},
		{"a preallocated extent and data of one address", []syscalls.Extent{extent(4, 1, 9, unwritten)},
			[]syscalls.Extent{extent(4, 1, 9, 0)}, MayDiffer},
		{"a preallocated extent with dirty pages", []syscalls.Extent{extent(4, 1, 9, unwritten)},
			[]syscalls.Extent{extent(4, 1, 9, unwritten|syscalls.ExtentDelalloc)}, MayDiffer},
		{"compressed, one address", []syscalls.Extent{extent(4, 1, 9, encoded)},
			[]syscalls.Extent{extent(4, 1, 9, encoded|shared)}, Undecided},
		{"compressed, one address, other offsets", []syscalls.Extent{extent(2, 4, 9, encoded)},
			[]syscalls.Extent{extent(4, 1, 9, encoded)}, Undecided},
		{"compressed, other addresses", []syscalls.Extent{extent(4, 1, 9, encoded)},
			[]syscalls.Extent{extent(4, 1, 8, encoded)}, MayDiffer},
		{"compressed and plain, one address", []syscalls.Extent{extent(4, 1, 9, encoded)},
			[]syscalls.Extent{extent(4, 1, 9, 0)}, MayDiffer},
		{"without an address", []syscalls.Extent{extent(4, 1, 0, 0)},
			[]syscalls.Extent{extent(4, 1, 0, 0)}, Undecided},
		{"inline", []syscalls.Extent{extent(4, 1, 0, syscalls.ExtentInline)},
			[]syscalls.Extent{extent(4, 1, 0, syscalls.ExtentInline)}, Undecided},
		{"a flag that is not known", []syscalls.Extent{extent(4, 1, 9, 0x80000)},
			[]syscalls.Extent{extent(4, 1, 9, 0x80000)}, Undecided},
	} {
		pretend(t, [][]syscalls.Extent{test.old, test.new}, func(int) {})
		for _, p := range all(t, 8*block, 16) {
			if p.Off <= 4*block && 4*block < p.End && p.Verdict != test.want {
				t.Errorf("%s: verdict %d, want %d", test.name, p.Verdict, test.want)
			}
		}
	}
}

// An extent of the old file moves away between two calls, and one of the new file to its address.
func TestExtentMoves(t *testing.T) {
	old, new := []syscalls.Extent{extent(0, 1, 7, 0)}, []syscalls.Extent{extent(0, 1, 8, 0)}
	maps := [][]syscalls.Extent{old, new}
	pretend(t, maps, func(call int) {
		if call == 1 {
			maps[0], maps[1] = []syscalls.Extent{extent(0, 1, 9, 0)}, []syscalls.Extent{extent(0, 1, 7, 0)}
		}
	})
	if parts := all(t, block, 16); parts[0].Verdict != MayDiffer {
		t.Errorf("an address that the old file has no more: verdict %d", parts[0].Verdict)
	}
}

// Random files, whatever the room for extents: the parts of one call of FIEMAP for all.
func TestWindows(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range mounttest.Count(300, 3000, 100_000) {
		const blocks = 64
		random := func() (extents []syscalls.Extent) {
			for at := uint64(r.IntN(3)); at < blocks; {
				n := 1 + uint64(r.IntN(4))
				var flags syscalls.ExtentFlags
				if r.IntN(8) == 0 {
					flags = syscalls.ExtentUnwritten
				}
				extents = append(extents, extent(at, n, 1+at+uint64(r.IntN(2)), flags))
				at += n + uint64(r.IntN(2))*uint64(r.IntN(4))
			}
			return extents
		}
		maps := [][]syscalls.Extent{random(), random()}
		pretend(t, maps, func(int) {})
		size := int64(blocks*block - r.IntN(2*block))
		want := all(t, size, 2*blocks)
		for _, room := range []int{1, 2, 3, 7} {
			got := all(t, size, room)
			joined := slices.Clone(got[:1])
			for _, p := range got[1:] {
				if last := &joined[len(joined)-1]; last.Verdict == p.Verdict {
					last.End = p.End
				} else {
					joined = append(joined, p)
				}
			}
			if !slices.Equal(joined, want) {
				t.Fatalf("room for %d: %v, want %v of %v", room, joined, want, maps)
			}
		}
	}
}

// A filesystem that fills the room with extents before the window ends the comparison.
func TestNoProgress(t *testing.T) {
	real := sys.Fiemap
	defer func() { sys.Fiemap = real }()
	sys.Fiemap = func(_ int, off, _ int64, _ bool, room []syscalls.Extent) (int, error) {
		for i := range room {
			room[i] = extent(0, 1, 1, 0)
		}
		return len(room), nil
	}
	c := NewComparer(8 * block)
	if _, err := c.Next(0, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(0, 1); !errors.Is(err, syscall.EIO) {
		t.Errorf("error %v, want EIO", err)
	}
}
