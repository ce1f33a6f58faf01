package syscalls_test

import (
	"errors"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var _ = describe(
	call{
		function: "Allocate", name: "fallocate", number: unix.SYS_FALLOCATE,
		do:       func(f *files) error { return syscalls.Allocate(f.file(), 0, int64(page), false) },
		failures: errnos{syscall.EINVAL, syscall.EFBIG, syscall.ENODEV},
	},
)

//promise:syscalls.Allocate a hole gets blocks, data and size stay
//promise:syscalls.Ftruncate blocks behind the end are freed
func TestAllocate(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		const size, more = 1 << 20, 64 << 10
		data := noise(size, 1)
		fd := newFile(t, dir, "file", data)
		must(t, unix.Ftruncate(fd, 2*size))
		allocated := func() int64 {
			t.Helper()
			must(t, unix.Fsync(fd))
			return stat(t, fd).Blocks * 512
		}
		before := allocated()
		must(t, syscalls.Allocate(fd, 0, size, false))
		must(t, syscalls.Allocate(fd, 2*size, more, false))
		if n := allocated() - before; n < more {
			t.Errorf("%d bytes were allocated behind the end", n)
		}
		must(t, syscalls.Ftruncate(fd, 2*size))
		if n := allocated() - before; n > 0 {
			t.Errorf("%d bytes are left behind the end", n)
		}
		must(t, syscalls.Allocate(fd, size, more, false))
		if n := allocated() - before; n < more {
			t.Errorf("%d bytes were allocated", n)
		}
		wantContents(t, fd, append(data, zeros(size)...))
	})
}

// Where blocks are shared and none are free, only Allocate with unshare says so.
//
//promise:syscalls.Allocate with unshare, shared blocks get blocks of their own, the data stay
func TestAllocateUnshare(t *testing.T) {
	eachOf(t, mounttest.Reflinks, func(t *testing.T, kind *mounttest.Kind, dir string) {
		const size = 1 << 20
		data := noise(size, 1)
		src, dst := newFile(t, dir, "src", data), newFile(t, dir, "dst", nil)
		must(t, syscalls.Ficlone(dst, src))
		err := syscalls.Allocate(dst, 0, size, true)
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		}
		must(t, err)
		must(t, unix.Fsync(dst))
		if n := bytesWith(extents(t, dst), shared); n > 0 {
			t.Errorf("%d bytes are shared", n)
		}
		wantContents(t, dst, data)
	})
}
