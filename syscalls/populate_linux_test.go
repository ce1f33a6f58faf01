package syscalls_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

//promise:syscalls.Populate Populate makes pages resident for reads
func TestPopulateRead(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data := noise(64*page, 1)
		fd := newFile(t, dir, "file", data)
		// From the disk, where there is one.
		must(t, unix.Fsync(fd))
		must(t, unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED))
		check := unchanged(t, open(t, filepath.Join(dir, "file"), unix.O_RDONLY))
		must(t, unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED))
		b := mmap(t, fd, len(data), true)
		if n := present(t, b); n != 0 {
			t.Fatalf("%d pages are present before", n)
		}
		must(t, syscalls.Populate(b[16*page:32*page-1], false))
		if n := present(t, b[16*page:32*page]); n != 16 {
			t.Errorf("%d pages of 16 are present", n)
		}
		must(t, syscalls.Populate(b, false))
		if n := present(t, b); n != 64 {
			t.Errorf("%d pages of 64 are present", n)
		}
		check()
	})
}

//promise:syscalls.Populate Populate makes pages resident and writable
func TestPopulateWrite(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		fd := newFile(t, dir, "file", nil)
		must(t, unix.Ftruncate(fd, int64(64*page)))
		b := mmap(t, fd, 64*page, true)
		before := stat(t, fd).Blocks
		must(t, syscalls.Populate(b, false))
		if after := stat(t, fd).Blocks; !kind.Has(mounttest.Memory) && after != before {
			t.Errorf("populating for reading took %d blocks", after-before)
		}
		must(t, syscalls.Populate(b[:32*page], true))
		if after := stat(t, fd).Blocks - before; after*512 < int64(32*page) {
			t.Errorf("populating for writing took %d bytes, want %d", after*512, 32*page)
		}
		if n := present(t, b); n < 32 {
			t.Errorf("%d pages of 32 are present", n)
		}
		wantContents(t, fd, zeros(64*page))
	})
}

func TestPopulateBeyondEnd(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		fd := newFile(t, dir, "file", noise(2*page, 1))
		b := mmap(t, fd, 4*page, true)
		for _, write := range []bool{false, true} {
			must(t, syscalls.Populate(b[:2*page], write))
			wantErr(t, syscalls.Populate(b, write), "madvise POPULATE", syscall.EFAULT)
			wantErr(t, syscalls.Populate(b[3*page:], write), "madvise POPULATE", syscall.EFAULT)
		}
	})
}

// The kernel knows how, only not for this memory: there is no other way.
func TestPopulateRefused(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		fd := newFile(t, dir, "file", noise(2*page, 1))
		b := mmap(t, fd, 2*page, false)
		wantErr(t, syscalls.Populate(b[1:], false), "madvise POPULATE", syscall.EINVAL)
		wantErr(t, syscalls.Populate(b, true), "madvise POPULATE", syscall.EINVAL)
		must(t, syscalls.MapNone(b))
		wantErr(t, syscalls.Populate(b, false), "madvise POPULATE", syscall.EINVAL)
		must(t, syscalls.Munmap(b[page:]))
		wantErr(t, syscalls.Populate(b[page:], false), "madvise POPULATE", syscall.ENOMEM)
	})
}

// Where a store would be a SIGBUS for want of space, Populate is an error.
//
//promise:syscalls.Populate a store that would be a SIGBUS is EFAULT
func TestPopulateFull(t *testing.T) {
	for _, kind := range mounttest.Kinds(mounttest.Known) {
		t.Run(kind.String(), func(t *testing.T) {
			mounttest.Leaks(t)
			dir := kind.Fresh(t, 0)
			fd, filler := newFile(t, dir, "file", nil), newFile(t, dir, "filler", nil)
			must(t, unix.Ftruncate(fd, 16<<20))
			for n, off := kind.Smallest(), int64(0); n >= 1<<20; {
				if unix.Fallocate(filler, 0, off, n) == nil {
					off += n
				} else {
					n /= 2
				}
			}
			b := mmap(t, fd, 16<<20, true)
			wantErr(t, syscalls.Populate(b, true), "madvise POPULATE", syscall.EFAULT)
		})
	}
}

// A kernel without the advice returns EINVAL, and so does a newer kernel for memory without
// permissions. The error is ErrUnsupported in the first case alone.
func TestPopulateOnOlderKernel(t *testing.T) {
	mounttest.Leaks(t)
	mem := mmap(t, newFile(t, mounttest.Dir(t, mounttest.Host), "file", zeros(page)), page, true)
	for advice, write := range map[uint32]bool{
		unix.MADV_POPULATE_READ: false, unix.MADV_POPULATE_WRITE: true,
	} {
		populate := func() error { return syscalls.Populate(mem, write) }
		err := refused(t, refusal{unix.SYS_MADVISE, 2, advice, syscall.EINVAL}, populate)
		wantUnsupported(t, err, "madvise POPULATE", syscall.EINVAL)
		err = refused(t, refusal{unix.SYS_MADVISE, 2, advice, syscall.EIO}, populate)
		wantErr(t, err, "madvise POPULATE", syscall.EIO)
	}
}
