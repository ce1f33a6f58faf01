package syscalls_test

import (
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var _ = describe(
	call{
		function: "Memfd", name: "memfd_create", number: unix.SYS_MEMFD_CREATE,
		do:       func(f *files) error { return descriptor(syscalls.Memfd("x")) },
		failures: errnos{syscall.EINVAL, syscall.EMFILE},
	},
	call{
		function: "Seal", name: "fcntl F_ADD_SEALS", number: unix.SYS_FCNTL,
		do:          func(f *files) error { return syscalls.Seal(f.file()) },
		unsupported: errnos{syscall.EINVAL},
		failures:    errnos{syscall.EPERM, syscall.EBUSY},
	},
)

// A sealed file in memory can be mapped to be read, and changed by nobody, not even through a
// descriptor that was open for writing before.
//
//promise:syscalls.Memfd the file in memory can be written, mapped and sealed
//promise:syscalls.Seal no process can change a sealed file, even by an earlier descriptor
func TestSealedMemfd(t *testing.T) {
	mounttest.Leaks(t)
	fd, err := syscalls.Memfd("test")
	must(t, err)
	closeLater(t, fd)
	if st := stat(t, fd); st.Nlink != 0 || st.Size != 0 {
		t.Errorf("%d names, size %d", st.Nlink, st.Size)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 || err != nil {
		t.Errorf("flags %#x, %v", flags, err)
	}
	if path, err := syscalls.FDPath(fd); err != nil || !strings.HasPrefix(path, "/memfd:test") {
		t.Errorf("%q, %v", path, err)
	}
	data := noise(2*page, 1)
	write(t, fd, data, 0)
	must(t, syscalls.Seal(fd))
	mem := mmap(t, fd, 2*page, false)
	if string(mem) != string(data) {
		t.Error("the mapping holds something else")
	}
	again, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDWR|unix.O_CLOEXEC, 0)
	must(t, err)
	closeLater(t, again)
	for _, fd := range []int{fd, again} {
		_, err = syscalls.Pwrite(fd, data, 1)
		wantErr(t, err, "pwrite", syscall.EPERM)
		wantErr(t, syscalls.Ftruncate(fd, 1), "ftruncate", syscall.EPERM)
		wantErr(t, syscalls.Ftruncate(fd, 3*int64(page)), "ftruncate", syscall.EPERM)
		const hole = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
		if err := unix.Fallocate(fd, hole, 0, int64(page)); !errors.Is(err, syscall.EPERM) {
			t.Errorf("a hole in a sealed file: %v, want EPERM", err)
		}
		_, err = syscalls.Mmap(fd, page, true)
		wantErr(t, err, "mmap", syscall.EPERM)
		wantErr(t, syscalls.Seal(fd), "fcntl F_ADD_SEALS", syscall.EPERM)
	}
	if err := unix.Mprotect(mem, unix.PROT_READ|unix.PROT_WRITE); err == nil {
		t.Error("the mapping can be made writable")
	}
	wantContents(t, fd, data)
	// Before Linux 6.3.
	must(t, refused(t, refusal{unix.SYS_MEMFD_CREATE, 1, unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING | unix.MFD_NOEXEC_SEAL, syscall.EINVAL}, func() error {
		fd, err := syscalls.Memfd("old")
		if err != nil {
			return err
		}
		return syscalls.Seal(closeLater(t, fd))
	}))
	// No other file can be sealed.
	wantUnsupported(t, syscalls.Seal(newFile(t, mounttest.Dir(t, mounttest.Disk|mounttest.NoReflinks), "file", nil)), "fcntl F_ADD_SEALS", syscall.EINVAL)
}
