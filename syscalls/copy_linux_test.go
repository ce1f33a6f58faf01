package syscalls_test

import (
	"bytes"
	"io"
	"math"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var _ = describe(
	call{
		function: "CopyFileRange", name: "copy_file_range", number: unix.SYS_COPY_FILE_RANGE,
		do: func(f *files) error {
			return count(syscalls.CopyFileRange(f.other(), 0, f.file(), 0, 1))
		},
		unsupported: errnos{syscall.EXDEV, syscall.EINVAL, syscall.EPERM},
		failures:    errnos{syscall.EISDIR, syscall.EFBIG},
		needs:       "copy_file_range",
	},
	call{
		function: "Pread", name: "pread", number: unix.SYS_PREAD64,
		do:       func(f *files) error { return count(syscalls.Pread(f.file(), zeros(1), 0)) },
		failures: errnos{syscall.EINVAL, syscall.EISDIR, syscall.ENXIO},
	},
	call{
		function: "Pread of nothing", name: "pread", number: none,
		do: func(f *files) error { return count(syscalls.Pread(f.file(), nil, 0)) },
	},
	call{
		function: "Pwrite", name: "pwrite", number: unix.SYS_PWRITE64,
		do:       func(f *files) error { return count(syscalls.Pwrite(f.file(), zeros(1), 0)) },
		failures: errnos{syscall.EINVAL, syscall.EFBIG, syscall.EPERM},
	},
	call{
		function: "Pwrite of nothing", name: "pwrite", number: none,
		do: func(f *files) error { return count(syscalls.Pwrite(f.file(), nil, 0)) },
	},
)

// offsets sets the offsets of descriptors and returns a check that they are still there.
func offsets(t *testing.T, fds ...int) (check func()) {
	t.Helper()
	for i, fd := range fds {
		_, err := unix.Seek(fd, int64(i+3), io.SeekStart)
		must(t, err)
	}
	return func() {
		t.Helper()
		for i, fd := range fds {
			if off, err := unix.Seek(fd, 0, io.SeekCurrent); err != nil || off != int64(i+3) {
				t.Errorf("offset of file %d moved to %d (%v)", i, off, err)
			}
		}
	}
}

//promise:syscalls.CopyFileRange CopyFileRange returns the count and moves no file offset
func TestCopyFileRange(t *testing.T) {
	needCall(t, "copy_file_range")
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data, old := noise(100000, 1), noise(50000, 2)
		src, dst := newFile(t, dir, "src", data), newFile(t, dir, "dst", old)
		check := offsets(t, dst, src)
		for _, test := range []struct {
			dstOff, srcOff int64
			n, want        int
		}{
			{1000, 500, 2000, 2000},
			{50000, 20000, 30000, 30000}, // at the end, which moves
			{80000, 99000, 30000, 1000},  // to the end of src, fewer than asked
			{0, 100000, 10, 0},           // at the end
			{0, 1 << 40, 10, 0},          // behind the end
			{0, 0, 0, 0},
		} {
			n, err := syscalls.CopyFileRange(dst, test.dstOff, src, test.srcOff, test.n)
			if n != test.want || err != nil {
				t.Errorf("%+v: %d, %v", test, n, err)
			}
		}
		wantContents(t, dst, old[:1000], data[500:2500], old[3000:], data[20000:50000], data[99000:])
		wantContents(t, src, data)
		check()
	})
}

func TestCopyFileRangeShares(t *testing.T) {
	needCall(t, "copy_file_range")
	eachOf(t, mounttest.Reflinks, func(t *testing.T, kind *mounttest.Kind, dir string) {
		// Nothing but holes, so that a copy of what cannot be shared would be seen, and soon be
		// over.
		src, dst := newFile(t, dir, "src", nil), newFile(t, dir, "dst", nil)
		must(t, unix.Ftruncate(src, 3<<30))
		n, err := syscalls.CopyFileRange(dst, 0, src, 0, math.MaxInt32)
		if err != nil || n < 1<<30 || n >= math.MaxInt32 {
			t.Errorf("copied %d bytes, error %v, want about 2 GiB and fewer than asked", n, err)
		}
		if st := stat(t, dst); st.Size != int64(n) || st.Blocks > 1000 {
			t.Errorf("size %d, %d blocks, want %d and few", st.Size, st.Blocks, n)
		}
	})
}

//promise:syscalls.CopyFileRange pipes, overlaps and descriptors without access are refused
func TestCopyFileRangeRefused(t *testing.T) {
	needCall(t, "copy_file_range")
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data := noise(8192, 1)
		src, dst := newFile(t, dir, "src", data), newFile(t, dir, "dst", data)
		var pipe [2]int
		must(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
		closeLater(t, pipe[0])
		closeLater(t, pipe[1])
		check := unchanged(t, dst)
		for name, test := range map[string]struct {
			dst, src    int
			errno       syscall.Errno
			unsupported bool
		}{
			"src a pipe":      {dst, pipe[0], syscall.EINVAL, true},
			"dst a pipe":      {pipe[1], src, syscall.EINVAL, true},
			"the same range":  {dst, dst, syscall.EINVAL, true},
			"procfs":          {dst, open(t, "/proc/self/status", unix.O_RDONLY), syscall.EXDEV, true},
			"src a directory": {dst, open(t, dir, unix.O_RDONLY), syscall.EISDIR, false},
			"dst appends":     {open(t, filepath.Join(dir, "dst"), unix.O_RDWR|unix.O_APPEND), src, syscall.EBADF, false},
			"dst read-only":   {open(t, filepath.Join(dir, "dst"), unix.O_RDONLY), src, syscall.EBADF, false},
			"src write-only":  {dst, open(t, filepath.Join(dir, "src"), unix.O_WRONLY), syscall.EBADF, false},
		} {
			t.Run(name, func(t *testing.T) {
				want := wantErr
				if test.unsupported {
					want = wantUnsupported
				}
				n, err := syscalls.CopyFileRange(test.dst, 0, test.src, 0, 4096)
				want(t, err, "copy_file_range", test.errno)
				if n != 0 {
					t.Errorf("copied %d bytes", n)
				}
			})
		}
		check()
	})
}

//promise:syscalls.Pread Pread reads from the offset, less at the end of the file
//promise:syscalls.Pwrite Pwrite writes at the offset
func TestPreadPwrite(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data := noise(10000, 1)
		fd := newFile(t, dir, "file", data)
		check := offsets(t, fd)
		buf := make([]byte, 4000)
		for off, want := range map[int64][]byte{
			0: data[:4000], 3333: data[3333:7333], 9990: data[9990:], 10000: nil, 1 << 40: nil,
		} {
			n, err := syscalls.Pread(fd, buf, off)
			if err != nil || !bytes.Equal(buf[:n], want) {
				t.Errorf("at %d: read %d bytes, error %v, want %d and equal", off, n, err, len(want))
			}
		}
		for _, off := range []int64{5000, 12000} {
			if n, err := syscalls.Pwrite(fd, []byte("text"), off); n != 4 || err != nil {
				t.Errorf("wrote %d bytes at %d, error %v", n, off, err)
			}
		}
		wantContents(t, fd, data[:5000], []byte("text"), data[5004:], zeros(2000), []byte("text"))
		check()

		again := unchanged(t, fd)
		n, err := syscalls.Pread(fd, buf, -1)
		wantErr(t, err, "pread", syscall.EINVAL)
		m, err := syscalls.Pwrite(fd, buf, -1)
		wantErr(t, err, "pwrite", syscall.EINVAL)
		readOnly, writeOnly := open(t, filepath.Join(dir, "file"), unix.O_RDONLY), open(t, filepath.Join(dir, "file"), unix.O_WRONLY)
		k, err := syscalls.Pwrite(readOnly, buf, 0)
		wantErr(t, err, "pwrite", syscall.EBADF)
		l, err := syscalls.Pread(writeOnly, buf, 0)
		wantErr(t, err, "pread", syscall.EBADF)
		if n+m+k+l != 0 {
			t.Errorf("%d, %d, %d, %d bytes beside an error, want none", n, m, k, l)
		}
		again()
	})
}
