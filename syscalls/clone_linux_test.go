package syscalls_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var _ = describe(
	call{
		function: "Ficlone", name: "ficlone", number: unix.SYS_IOCTL,
		do:          func(f *files) error { return syscalls.Ficlone(f.other(), f.file()) },
		unsupported: errnos{syscall.ENOTTY, enotsupp, syscall.EXDEV, syscall.EINVAL, syscall.EPERM},
		failures:    errnos{syscall.EISDIR},
		needs:       "FICLONE",
	},
	call{
		function: "FicloneRange", name: "ficlonerange", number: unix.SYS_IOCTL,
		do: func(f *files) error {
			return syscalls.FicloneRange(f.other(), 0, f.file(), 0, int64(page))
		},
		unsupported: errnos{syscall.ENOTTY, enotsupp, syscall.EXDEV, syscall.EINVAL, syscall.EPERM},
		failures:    errnos{syscall.EISDIR},
		needs:       "FICLONE",
	},
	call{
		function: "DedupeRange", name: "fideduperange", number: unix.SYS_IOCTL,
		do: func(f *files) error {
			// The kernel may refuse the source before it looks at the destination.
			return count(syscalls.DedupeRange(f.fds[1], f.file(), 0, page))
		},
		unsupported: errnos{syscall.ENOTTY, enotsupp, syscall.EXDEV, syscall.EINVAL},
		failures:    errnos{syscall.EISDIR, syscall.EPERM},
	},
)

//promise:syscalls.Ficlone the destination shares the extents of the source
func TestFiclone(t *testing.T) {
	needCall(t, "FICLONE")
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data := noise(256<<10+100, 1)
		src, dst := newFile(t, dir, "src", data), newFile(t, dir, "dst", nil)
		if !mounttest.Has(dir, mounttest.Reflinks) {
			check := unchanged(t, dst)
			wantUnsupported(t, syscalls.Ficlone(dst, src), "ficlone", syscall.EOPNOTSUPP)
			check()
			return
		}
		must(t, syscalls.Ficlone(dst, src))
		wantContents(t, dst, data)
		for name, fd := range map[string]int{"src": src, "dst": dst} {
			all := extents(t, fd)
			if n := bytesWith(all, shared); n < len(data) {
				t.Errorf("%s shares %d bytes of %d: no reflink was made", name, n, len(data))
			}
			// The data of src was in memory only.
			if n := bytesWith(all, delalloc); n != 0 {
				t.Errorf("%s has %d bytes that were not written back", name, n)
			}
		}
		// Shared is the storage, not the file.
		write(t, dst, []byte("dst"), 4096)
		wantContents(t, src, data)
		write(t, src, []byte("src"), 0)
		wantContents(t, dst, data[:4096], []byte("dst"), data[4099:])
	})
}

//promise:syscalls.FicloneRange the range shares the extents of the source, and the rest stays
func TestFicloneRange(t *testing.T) {
	needCall(t, "FICLONE")
	const block = 64 << 10 // a multiple of all block sizes
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data, old := noise(4*block+100, 1), noise(4*block, 2)
		src, dst := newFile(t, dir, "src", data), newFile(t, dir, "dst", old)
		if !mounttest.Has(dir, mounttest.Reflinks) {
			check := unchanged(t, dst)
			err := syscalls.FicloneRange(dst, 0, src, 0, block)
			wantUnsupported(t, err, "ficlonerange", syscall.EOPNOTSUPP)
			check()
			return
		}
		must(t, syscalls.FicloneRange(dst, block, src, 2*block, block))
		wantContents(t, dst, old[:block], data[2*block:3*block], old[2*block:])
		if n := bytesWith(extents(t, dst), shared); n != block {
			t.Errorf("%d bytes are shared, want %d", n, block)
		}
		// All to the end of the source, which is not aligned, makes the destination longer.
		must(t, syscalls.FicloneRange(dst, 4*block, src, 3*block, 0))
		wantContents(t, dst, old[:block], data[2*block:3*block], old[2*block:], data[3*block:])
		check := unchanged(t, dst)
		wantUnsupported(t, syscalls.FicloneRange(dst, 1, src, 0, block), "ficlonerange", syscall.EINVAL)
		wantUnsupported(t, syscalls.FicloneRange(dst, 0, src, 0, 100), "ficlonerange", syscall.EINVAL)
		check()
	})
}

func TestFicloneWithoutReflinks(t *testing.T) {
	needCall(t, "FICLONE")
	mounttest.Leaks(t)
	dir := mounttest.Fresh(t, mounttest.ReflinksOff, 0)
	src, dst := newFile(t, dir, "src", noise(8192, 1)), newFile(t, dir, "dst", nil)
	check := unchanged(t, dst)
	wantUnsupported(t, syscalls.Ficlone(dst, src), "ficlone", syscall.EOPNOTSUPP)
	check()
}

// The destination never gets shorter.
//
//promise:syscalls.Ficlone a longer destination is EINVAL or keeps its tail
func TestFicloneOntoLonger(t *testing.T) {
	needCall(t, "FICLONE")
	eachOf(t, mounttest.Reflinks, func(t *testing.T, kind *mounttest.Kind, dir string) {
		old := noise(64<<10, 1)
		for name, test := range map[string]struct {
			length int
			errno  syscall.Errno
		}{"aligned": {16 << 10, 0}, "unaligned": {10000, syscall.EINVAL}, "empty": {0, 0}} {
			data := noise(test.length, 2)
			src, dst := newFile(t, dir, name+" src", data), newFile(t, dir, name+" dst", old)
			if test.errno != 0 {
				check := unchanged(t, dst)
				wantUnsupported(t, syscalls.Ficlone(dst, src), "ficlone", test.errno)
				check()
				continue
			}
			must(t, syscalls.Ficlone(dst, src))
			wantContents(t, dst, data, old[test.length:])
		}
	})
}

//promise:syscalls.Ficlone directories and descriptors without access are refused
func TestFicloneRefused(t *testing.T) {
	needCall(t, "FICLONE")
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data := noise(8192, 1)
		src, dst := newFile(t, dir, "src", data), newFile(t, dir, "dst", data)
		check := unchanged(t, dst)
		for name, test := range map[string]struct{ dst, src int }{
			"dst read-only":  {open(t, filepath.Join(dir, "dst"), unix.O_RDONLY), src},
			"dst appends":    {open(t, filepath.Join(dir, "dst"), unix.O_RDWR|unix.O_APPEND), src},
			"src write-only": {dst, open(t, filepath.Join(dir, "src"), unix.O_WRONLY)},
		} {
			t.Run(name, func(t *testing.T) {
				wantErr(t, syscalls.Ficlone(test.dst, test.src), "ficlone", syscall.EBADF)
			})
		}
		wantErr(t, syscalls.Ficlone(dst, open(t, dir, unix.O_RDONLY)), "ficlone", syscall.EISDIR)
		wantUnsupported(t, syscalls.Ficlone(dst, open(t, "/proc/self/status", unix.O_RDONLY)), "ficlone", syscall.EXDEV)
		check()
	})
}

// Each filesystem beside each other one.
//
//promise:syscalls.Ficlone files of two filesystems are EXDEV
//promise:syscalls.CopyFileRange files of two filesystems are copied or EXDEV
func TestFicloneAcrossFilesystems(t *testing.T) {
	needCall(t, "FICLONE")
	needCall(t, "copy_file_range")
	kinds := mounttest.Kinds(mounttest.Known)
	for _, from := range kinds {
		for _, to := range kinds {
			if from == to {
				continue
			}
			t.Run(from.String()+" to "+to.String(), func(t *testing.T) {
				data := noise(8192, 1)
				src := newFile(t, from.Dir(t), "src", data)
				dst := newFile(t, to.Dir(t), "dst", data)
				check := unchanged(t, dst)
				wantUnsupported(t, syscalls.Ficlone(dst, src), "ficlone", syscall.EXDEV)
				n, err := syscalls.CopyFileRange(dst, 0, src, 0, len(data))
				wantUnsupported(t, err, "copy_file_range", syscall.EXDEV)
				m, err := syscalls.DedupeRange(dst, src, 0, len(data))
				if from.Has(mounttest.Reflinks) { // the source is asked
					wantUnsupported(t, err, "fideduperange", syscall.EXDEV)
				} else {
					wantUnsupported(t, err, "fideduperange", syscall.EOPNOTSUPP)
				}
				if n != 0 || m != 0 {
					t.Errorf("copied %d bytes and shared %d, want none", n, m)
				}
				check()
			})
		}
	}
}

//promise:syscalls.DedupeRange equal ranges share their extents afterwards
func TestDedupeRange(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data := noise(256<<10, 1)
		src, dst := newFile(t, dir, "src", data), newFile(t, dir, "dst", data)
		must(t, unix.Fsync(dst)) // it has its blocks, so that only sharing changes their number
		check := unchanged(t, dst)
		n, err := syscalls.DedupeRange(dst, src, 64<<10, 128<<10)
		check()
		if !mounttest.Has(dir, mounttest.Reflinks) {
			wantUnsupported(t, err, "fideduperange", syscall.EOPNOTSUPP)
			if n != 0 {
				t.Errorf("shared %d bytes", n)
			}
			return
		}
		must(t, err)
		if n != 128<<10 {
			t.Errorf("shared %d bytes, want %d", n, 128<<10)
		}
		all := extents(t, dst)
		if n := bytesWith(all, shared); n != 128<<10 {
			t.Errorf("extents of %d bytes are shared, want %d: %+v", n, 128<<10, all)
		}
	})
}

//promise:syscalls.DedupeRange DedupeRange returns a smaller count if the ranges differ
func TestDedupeRangeDiffers(t *testing.T) {
	eachOf(t, mounttest.Reflinks, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data := noise(128<<10, 1)
		src := newFile(t, dir, "src", data)
		data[100000]++
		dst := newFile(t, dir, "dst", data)
		must(t, unix.Fsync(dst))
		check := unchanged(t, dst)
		n, err := syscalls.DedupeRange(dst, src, 0, len(data))
		if err != nil || n >= len(data) {
			t.Errorf("shared %d bytes of %d that differ, error %v", n, len(data), err)
		}
		check()
		if shared := bytesWith(extents(t, dst), shared); shared != n {
			t.Errorf("%d bytes are shared, but %d reported", shared, n)
		}
		// Up to where they differ, they are equal.
		n, err = syscalls.DedupeRange(dst, src, 0, 64<<10)
		if err != nil || n != 64<<10 {
			t.Errorf("shared %d bytes, error %v, want %d", n, err, 64<<10)
		}
		for _, bad := range []int{-1, -1 << 31, 1 << 30} {
			n, err := syscalls.DedupeRange(bad, src, 0, len(data))
			wantErr(t, err, "fideduperange", syscall.EBADF)
			if n != 0 {
				t.Errorf("shared %d bytes with no file", n)
			}
		}
		// What is not a whole number of blocks, and not the end, cannot be shared.
		check = unchanged(t, dst)
		n, err = syscalls.DedupeRange(dst, src, 0, len(data)+1)
		wantUnsupported(t, err, "fideduperange", syscall.EINVAL)
		if n != 0 {
			t.Errorf("shared %d bytes beyond the end", n)
		}
		check()
	})
}
