package snapshot_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/extentdiff"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// The control: a file with dirty pages, compared without FIEMAP_FLAG_SYNC, has its old addresses.
func TestChangedNeedsSync(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		name := join(dir, "f")
		write(t, name, noise(1, 1<<20))
		old, err := snapshot.Open(name)
		must(t, err)
		defer old.Close()
		live := openFile(t, name, os.O_RDWR)
		compare := func() []extentdiff.Part {
			c := extentdiff.NewComparer(1 << 20)
			parts, err := c.Next(snapshot.Region(old).FD(), int(live.Fd()))
			must(t, err)
			return parts
		}
		withoutSync := func(fd int, off, n int64, _ bool, e []syscalls.Extent) (int, error) {
			return syscalls.Fiemap(fd, off, n, false, e)
		}
		const at = 512 << 10
		missed := false
		for range 5 { // the kernel may write the page at any time
			_, err := live.WriteAt(noise(2, 4096), at)
			must(t, err)
			replace(t, &sys.Fiemap, withoutSync, func() {
				missed = missed || len(compare()) == 1 && compare()[0].Verdict == extentdiff.Same
			})
			if !found(compare(), at, extentdiff.MayDiffer) {
				t.Fatalf("a dirty page is not found: %v", compare())
			}
		}
		if !missed {
			t.Skip("btrfs and XFS showed new addresses for dirty pages: the control proves nothing")
		}
	})
}

// Two files that use different parts of one compressed extent of btrfs: FIEMAP reports the same
// address. The control ignores the flags, and takes them for equal.
//
//promise:snapshot.Mmap.Changed compressed extents with equal addresses are read and compared
func TestChangedCompressed(t *testing.T) {
	mounttest.EachOf(t, mounttest.Subvolumes|mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		const extent, size = 128 << 10, 256 << 10
		write(t, join(dir, "source"), nil)
		source := openFile(t, join(dir, "source"), os.O_RDWR)
		fd := int(source.Fd())
		must(t, unix.Fsetxattr(fd, "btrfs.compression", []byte("zstd"), 0))
		text := bytes.Repeat([]byte("page of text "), extent/13+1)[:extent]
		for i := 0; i < extent; i += 4096 {
			copy(text[i:], fmt.Sprint("this is page ", i/4096))
		}
		_, err := source.Write(text)
		must(t, err)
		must(t, source.Sync())
		var states []state
		for i := range int64(2) {
			name := join(dir, fmt.Sprint(i))
			write(t, name, nil)
			f := openFile(t, name, os.O_RDWR)
			must(t, f.Truncate(size))
			must(t, syscalls.FicloneRange(int(f.Fd()), 0, fd, 64<<10*i, 64<<10))
			must(t, f.Sync())
			states = append(states, newState(t, name))
		}
		old, new := states[0], states[1]
		defer old.Close()
		defer new.Close()
		if old.Method() != snapshot.Reflink || new.Method() != snapshot.Reflink {
			t.Fatalf("methods %v and %v", old.Method(), new.Method())
		}
		if differ, reported := checkChanged(t, old, new); differ != 16 || reported != 16 {
			t.Errorf("%d pages differ, and %d are reported, want 16 and 16", differ, reported)
		}
		withoutFlags := func(fd int, off, n int64, sync bool, e []syscalls.Extent) (int, error) {
			n2, err := syscalls.Fiemap(fd, off, n, sync, e)
			for i := range e[:n2] {
				e[i].Flags = 0
			}
			return n2, err
		}
		replace(t, &sys.Fiemap, withoutFlags, func() {
			for r, err := range new.Changed(t.Context(), old.Mmap) {
				t.Errorf("the control finds %v, %v: the extents do not have the same address", r, err)
			}
		})
	})
}
