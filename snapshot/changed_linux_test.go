package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// Snapshots of a file after edits of all kinds, each compared with four before it.
//
//promise:snapshot.Mmap.Changed what is in no range is equal, whatever changed the file
//promise:snapshot.Mmap.Changed ranges ascend and do not touch
//promise:snapshot.Range a range has an offset and a length
func TestChanged(t *testing.T) {
	for _, variant := range editedVariants {
		t.Run(variant.name, func(t *testing.T) {
			mounttest.Each(t, func(t *testing.T, dir string) {
				mounttest.Leaks(t)
				name := join(dir, "f")
				write(t, name, nil)
				file := openFile(t, name, os.O_RDWR)
				if err := variant.make(int(file.Fd())); err != nil {
					t.Skipf("%s: %v", variant.name, err)
				}
				f := newEditedFile(t, name, int(file.Fd()), uint64(len(dir)))
				var states []state
				differ, reported := 0, 0
				for range mounttest.Count(20, 200, 4000) {
					s := newState(t, name)
					for _, old := range states {
						d, r := checkChanged(t, old, s)
						differ, reported = differ+d, reported+r
					}
					if states = append(states, s); len(states) > 4 {
						must(t, states[0].Close())
						states = states[1:]
					}
					done := ""
					for range 1 + f.rand.IntN(3) {
						edit := edits[f.rand.IntN(len(edits))]
						done += edit.name + ", "
						edit.do(f)
					}
					if s.Method() == snapshot.Reflink {
						checkLive(t, s, f.fd)
					}
					if t.Failed() {
						t.Fatalf("after the edits %s", done)
					}
				}
				for _, s := range states {
					must(t, s.Close())
				}
				t.Logf("%d pages differ, %d reported", differ, reported)
				if variant.plain && reported > 2*differ {
					t.Errorf("%d pages are reported, and %d differ: more than twice as many", reported, differ)
				}
			})
		})
	}
}

// Changed of each pair of snapshots of two sizes, and of contents that need no private file.
//
//promise:snapshot.Mmap.Changed the rest of the longer snapshot is in a range
func TestChangedSizes(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		var states []state
		data := noise(1, 400<<10)
		for _, size := range []int{0, 1, 4095, 4096, 5000, 128 << 10, 200<<10 + 1, 300 << 10, 400 << 10} {
			name := join(dir, fmt.Sprint(size))
			write(t, name, data[:size])
			states = append(states, newState(t, name))
		}
		for _, a := range states {
			for _, b := range states {
				checkChanged(t, a, b)
				if a.Mmap == b.Mmap {
					for r, err := range a.Changed(context.Background(), b.Mmap) {
						t.Errorf("a snapshot differs from itself in %v, %v", r, err)
					}
				}
			}
		}
		for _, s := range states {
			must(t, s.Close())
		}
	})
}

// Two reflinks of one file: no read, and one call for 4 096 extents of each and half as many again.
//
//promise:snapshot.Mmap.Changed reflinks are compared without a read
func TestChangedReadsNothing(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		extents := mounttest.Count(4_500, 9_000, 50_000)
		write(t, name, nil)
		file := openFile(t, name, os.O_RDWR)
		must(t, file.Truncate(int64(extents)*8192)) // else XFS reserves space behind each end
		page := noise(1, 4096)
		for i := range extents {
			_, err := file.WriteAt(page, int64(i)*8192)
			must(t, err)
		}
		must(t, file.Sync())
		old, err := snapshot.Open(name)
		must(t, err)
		defer old.Close()
		new, err := snapshot.Open(name)
		must(t, err)
		defer new.Close()
		const changed = 4321 * 8192
		calls := systest.CountCalls(t)
		check := func(want ...snapshot.Range) {
			before := calls("fiemap extents")
			var got []snapshot.Range
			for r, err := range new.Changed(t.Context(), old) {
				must(t, err)
				got = append(got, r)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("changed are %v, want %v", got, want)
			}
			maps, bound := calls("fiemap extents")-before, 3*2*extents/4096/2+8
			if maps == 0 || maps > bound {
				t.Errorf("%d extents: %d calls of FIEMAP, want at most %d", extents, maps, bound)
			}
			for _, m := range []*snapshot.Mmap{old, new} {
				for off := range int64(extents) {
					if m.Resident(off*8192, 4096) {
						t.Fatalf("the page at %d was read", off*8192)
					}
				}
			}
		}
		check()
		_, err = file.WriteAt([]byte("changed"), changed)
		must(t, err)
		again, err := snapshot.Open(name)
		must(t, err)
		defer again.Close()
		new = again
		check(snapshot.Range{Off: changed, Len: 4096})
	})
}

// Where an address may mean something else in each file, Changed compares the contents.
func TestChangedByContents(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		name := join(dir, "f")
		write(t, name, noise(1, 1<<20))
		old := newState(t, name)
		defer old.Close()
		write(t, name, noise(2, 1<<20))
		new := newState(t, name)
		defer new.Close()
		calls := systest.CountCalls(t)
		check := func(name string, want bool) {
			before := calls("fiemap extents")
			checkChanged(t, old, new)
			if got := calls("fiemap extents") > before; got != want {
				t.Errorf("%s: addresses are compared: %v, want %v", name, got, want)
			}
		}
		check("two reflinks", true)
		replace(t, &sys.IsRealtime, func(int) (bool, error) { return true, nil }, func() {
			check("realtime device", false)
		})
		replace(t, &sys.IsRealtime, func(int) (bool, error) { return false, unix.ENOTTY }, func() {
			check("unknown device", false)
		})
		replace(t, &sys.FSType, func(int) (uint32, error) { return syscalls.Ext4, nil }, func() {
			check("another filesystem", false)
		})
		undo := systest.ChangeStats(func(st *syscalls.Stat) { st.Dev = st.Ino })
		check("two filesystems", false)
		undo()
	})
}

// Errors, the end of the context, Close, and a consumer that stops.
//
//promise:snapshot.Mmap.Changed an error is yielded once, last, with the zero Range
//promise:snapshot.Mmap.Changed if one of the two is closed, the error is fs.ErrClosed
func TestChangedEnds(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 1<<20))
		open := func() *snapshot.Mmap {
			m, err := snapshot.Open(name)
			must(t, err)
			return m
		}
		old := open()
		f := openFile(t, name, os.O_RDWR)
		for _, off := range []int64{0, 256 << 10, 768 << 10} {
			_, err := f.WriteAt([]byte("new"), off)
			must(t, err)
		}
		must(t, f.Sync())
		new := open()
		n := 0
		for _, err := range new.Changed(t.Context(), old) {
			must(t, err)
			if n++; n == 2 {
				break
			}
		}
		if n != 2 {
			t.Errorf("%d ranges before the consumer stops, want 2", n)
		}
		wantOnly := func(ctx context.Context, target error) {
			t.Helper()
			n := 0
			for r, err := range new.Changed(ctx, old) {
				if n++; r != (snapshot.Range{}) || !errors.Is(err, target) {
					t.Errorf("%v, %v, want no range and %v", r, err, target)
				}
			}
			if n != 1 {
				t.Errorf("%d errors, want 1", n)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		wantOnly(ended, context.Canceled)
		// Without FIEMAP, the contents are compared.
		replace(t, &sys.Fiemap, func(int, int64, int64, bool, []syscalls.Extent) (int, error) {
			return 0, errors.ErrUnsupported
		}, func() {
			n := 0
			for r, err := range new.Changed(t.Context(), old) {
				must(t, err)
				if n++; r.Len != 4096 {
					t.Errorf("range %v, want a page", r)
				}
			}
			if n != 3 {
				t.Errorf("%d ranges, want 3", n)
			}
		})
		must(t, old.Close())
		wantOnly(t.Context(), fs.ErrClosed)
		old = open()
		must(t, new.Close())
		wantOnly(t.Context(), fs.ErrClosed)
		must(t, old.Close())
		old = nil
		wantOnly(t.Context(), fs.ErrInvalid)
		old, new = open(), nil
		wantOnly(t.Context(), fs.ErrInvalid)
		must(t, old.Close())
		must(t, os.Truncate(name, 0)) // nothing is compared
		old, new = open(), open()
		wantOnly(ended, context.Canceled)
		must(t, old.Close())
		wantOnly(t.Context(), fs.ErrClosed)
		must(t, new.Close())
	})
}
