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
