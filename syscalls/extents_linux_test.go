package syscalls_test

import (
	"fmt"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var _ = describe(
	call{
		function: "CountExtents", name: "fs_ioc_fiemap", number: unix.SYS_IOCTL,
		do:          func(f *files) error { return count(syscalls.CountExtents(f.file(), 0, 1)) },
		unsupported: errnos{syscall.ENOTTY},
		failures:    errnos{syscall.EPERM, syscall.EINVAL},
	},
	call{
		function: "Fiemap", name: "fs_ioc_fiemap", number: unix.SYS_IOCTL,
		do: func(f *files) error {
			return count(syscalls.Fiemap(f.file(), 0, 1, true, make([]syscalls.Extent, 1)))
		},
		unsupported: errnos{syscall.ENOTTY},
		failures:    errnos{syscall.EPERM, syscall.EINVAL},
	},
)

//promise:syscalls.CountExtents CountExtents counts extents, those of delayed allocation included
func TestCountExtents(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		var fd int
		for try := 0; ; try++ {
			fd = newFile(t, dir, fmt.Sprint("file", try), nil)
			must(t, unix.Ftruncate(fd, 8<<20)) // else XFS reserves space behind each end
			// Data with holes between, eight times.
			for i := range int64(8) {
				write(t, fd, noise(16<<10, 1), i<<20)
			}
			n, err := syscalls.CountExtents(fd, 0, 8<<20)
			if kind.Has(mounttest.Memory) {
				wantUnsupported(t, err, "fs_ioc_fiemap", syscall.EOPNOTSUPP)
				return
			}
			if n != 8 || err != nil {
				t.Errorf("%d extents, %v, want 8", n, err)
			}
			// What is in memory only counts. The kernel may write it at any time, but not always at once.
			if bytesWith(extents(t, fd), delalloc) > 0 {
				break
			}
			if try == 4 {
				t.Fatal("no data is in memory only")
			}
		}
		must(t, unix.Fsync(fd))
		for _, test := range []struct {
			off, n int64
			want   int
		}{
			{0, 8 << 20, 8},
			{0, 1 << 60, 8},
			{2 << 20, 3 << 20, 3},
			{64 << 10, 64 << 10, 0}, // in a hole
			{9 << 20, 1 << 20, 0},   // behind the end
		} {
			got, err := syscalls.CountExtents(fd, test.off, test.n)
			if got != test.want || err != nil {
				t.Errorf("%d bytes at %d: %d extents, %v, want %d", test.n, test.off, got, err, test.want)
			}
		}
		empty := newFile(t, dir, "empty", nil)
		if got, err := syscalls.CountExtents(empty, 0, 1<<20); got != 0 || err != nil {
			t.Errorf("an empty file: %d extents, %v", got, err)
		}
		wantErr(t, second(syscalls.CountExtents(fd, 0, 0)), "fs_ioc_fiemap", syscall.EINVAL)
	})
}

//promise:syscalls.Extent an Extent has the layout of struct fiemap_extent
//promise:syscalls.ExtentFlags the flags are those of the kernel
//promise:syscalls.Fiemap the extents are those of the kernel, in order, from any offset on
//promise:syscalls.Fiemap with sync, dirty pages have addresses
func TestFiemap(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		fd := newFile(t, dir, "f", nil)
		must(t, unix.Ftruncate(fd, 8<<20))
		for i := range int64(8) {
			write(t, fd, noise(16<<10, 1), i<<20)
		}
		room := make([]syscalls.Extent, 16)
		n, err := syscalls.Fiemap(fd, 0, 8<<20, true, room)
		if kind.Has(mounttest.Memory) {
			wantUnsupported(t, err, "fs_ioc_fiemap", syscall.EOPNOTSUPP)
			return
		}
		must(t, err)
		want := extents(t, fd)
		if n != 8 || len(want) != n {
			t.Fatalf("%d extents, and the kernel has %d, want 8", n, len(want))
		}
		for i, e := range want {
			got := room[i]
			if got.Logical != e.logical || got.Physical != e.physical || got.Length != e.length ||
				uint32(got.Flags) != e.flags {
				t.Errorf("extent %d is %+v, want %+v", i, got, e)
			}
			if got.Physical == 0 || got.Flags&(syscalls.ExtentDelalloc|syscalls.ExtentUnknown) != 0 {
				t.Errorf("extent %d has no address: %+v", i, got)
			}
		}
		// Room for two, in the middle: the third and the fourth.
		n, err = syscalls.Fiemap(fd, 2<<20, 4<<20, false, room[:2])
		must(t, err)
		if n != 2 || room[0].Logical != 2<<20 || room[1].Logical != 3<<20 {
			t.Errorf("%d extents from 2 MiB on: %+v", n, room[:2])
		}
		if room[0].Flags&syscalls.ExtentLast != 0 {
			t.Error("the third extent has the flag of the last one")
		}
		if n, err := syscalls.Fiemap(fd, 64<<10, 64<<10, false, room); n != 0 || err != nil {
			t.Errorf("%d extents in a hole, %v", n, err)
		}
		wantErr(t, second(syscalls.Fiemap(fd, 0, 1, false, nil)), "fs_ioc_fiemap", syscall.EINVAL)
	})
}
