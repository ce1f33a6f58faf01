package syscalls_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

const enotsupp = syscall.Errno(524)

// What each errno means to a caller who could go another way, whatever this kernel and these
// filesystems answer: the errno is put there by a filter.
func TestErrnos(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Host)
	a, b := newFile(t, dir, "a", zeros(page)), newFile(t, dir, "b", zeros(page))
	dirfd := openDir(t, dir)
	mem := mmap(t, a, page, true)

	always := []syscall.Errno{syscall.ENOSYS, syscall.EOPNOTSUPP}
	failures := []syscall.Errno{syscall.EBADF, syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.ETXTBSY, syscall.EAGAIN, syscall.EROFS, syscall.ENOMEM}
	for _, test := range []struct {
		name   string
		nr     uintptr
		cannot []syscall.Errno // besides those that always mean it
		fails  []syscall.Errno // besides those that mean it nowhere
		call   func() error
	}{
		{"ficlone", unix.SYS_IOCTL,
			[]syscall.Errno{syscall.ENOTTY, enotsupp, syscall.EXDEV, syscall.EINVAL, syscall.EPERM}, []syscall.Errno{syscall.EISDIR},
			func() error { return syscalls.Ficlone(b, a) }},
		{"copy_file_range", unix.SYS_COPY_FILE_RANGE,
			[]syscall.Errno{syscall.EXDEV, syscall.EINVAL, syscall.EPERM}, []syscall.Errno{syscall.EISDIR, syscall.EFBIG},
			func() error { _, err := syscalls.CopyFileRange(b, 0, a, 0, 1); return err }},
		{"fideduperange", unix.SYS_IOCTL,
			[]syscall.Errno{syscall.ENOTTY, enotsupp, syscall.EXDEV, syscall.EINVAL}, []syscall.Errno{syscall.EISDIR, syscall.EPERM},
			func() error { _, err := syscalls.DedupeRange(b, a, 0, page); return err }},
		{"lseek SEEK_DATA", unix.SYS_LSEEK, []syscall.Errno{syscall.EINVAL}, []syscall.Errno{syscall.ENXIO},
			func() error { _, err := syscalls.SeekData(a, 0); return err }},
		{"lseek SEEK_HOLE", unix.SYS_LSEEK, []syscall.Errno{syscall.EINVAL}, []syscall.Errno{syscall.ENXIO},
			func() error { _, err := syscalls.SeekHole(a, 0); return err }},
		{"fallocate PUNCH_HOLE", unix.SYS_FALLOCATE, nil, []syscall.Errno{syscall.EPERM, syscall.EINVAL},
			func() error { return syscalls.PunchHole(a, 0, 1) }},
		{"openat O_TMPFILE", unix.SYS_OPENAT, []syscall.Errno{syscall.EISDIR}, []syscall.Errno{syscall.EACCES, syscall.EPERM},
			func() error { _, err := syscalls.Tmpfile(dirfd, 0); return err }},
		{"openat O_TMPFILE", unix.SYS_OPENAT, []syscall.Errno{syscall.EISDIR}, []syscall.Errno{syscall.EACCES, syscall.EPERM},
			func() error { _, err := syscalls.TmpfileExcl(dirfd, 0); return err }},
		{"openat O_EXCL", unix.SYS_OPENAT, nil, []syscall.Errno{syscall.EEXIST, syscall.EACCES, syscall.EISDIR, syscall.EINVAL},
			func() error { _, err := syscalls.CreateExcl(dirfd, "new", 0); return err }},
		{"renameat2", unix.SYS_RENAMEAT2, []syscall.Errno{syscall.EINVAL}, []syscall.Errno{syscall.EEXIST, syscall.EPERM},
			func() error { return syscalls.RenameNoReplace(dirfd, "a", "new") }},
		{"mremap", unix.SYS_MREMAP, []syscall.Errno{syscall.EINVAL}, []syscall.Errno{syscall.EFAULT},
			func() error { _, err := syscalls.MremapDontunmap(mem, a, page); return err }},
		{"mremap", unix.SYS_MREMAP, nil, []syscall.Errno{syscall.EINVAL, syscall.EFAULT},
			func() error { _, err := syscalls.Mremap(mem, page); return err }},
		{"statx", unix.SYS_STATX, []syscall.Errno{syscall.EPERM}, []syscall.Errno{syscall.EINVAL, syscall.EACCES},
			func() error { _, err := syscalls.AppendOnly(a); return err }},
		{"fs_ioc_getflags", unix.SYS_IOCTL, []syscall.Errno{syscall.ENOTTY}, []syscall.Errno{syscall.EPERM, syscall.EINVAL},
			func() error { _, err := syscalls.Nocow(a); return err }},
		{"fs_ioc_fiemap", unix.SYS_IOCTL, []syscall.Errno{syscall.ENOTTY}, []syscall.Errno{syscall.EPERM, syscall.EINVAL},
			func() error { _, err := syscalls.Extents(a, 0, 1); return err }},
		{"fs_ioc_setflags", unix.SYS_IOCTL, []syscall.Errno{syscall.ENOTTY}, []syscall.Errno{syscall.EPERM, syscall.EINVAL},
			func() error { return syscalls.SetNocow(a, true) }},
		{"fcntl F_SETLEASE", unix.SYS_FCNTL, []syscall.Errno{syscall.EINVAL}, []syscall.Errno{syscall.EACCES, syscall.ENOLCK},
			func() error { return syscalls.SetLease(a, syscalls.ReadLease) }},
		{"memfd_create", unix.SYS_MEMFD_CREATE, nil, []syscall.Errno{syscall.EINVAL, syscall.EMFILE},
			func() error { _, err := syscalls.Memfd("x"); return err }},
		{"fcntl F_ADD_SEALS", unix.SYS_FCNTL, []syscall.Errno{syscall.EINVAL}, []syscall.Errno{syscall.EPERM, syscall.EBUSY},
			func() error { return syscalls.Seal(a) }},
		{"fstatfs", unix.SYS_FSTATFS, nil, []syscall.Errno{syscall.EOVERFLOW},
			func() error { _, err := syscalls.FsType(a); return err }},
		{"capget", unix.SYS_CAPGET, nil, []syscall.Errno{syscall.EINVAL, syscall.EPERM},
			func() error { _, err := syscalls.Capable(syscalls.CapFsetid); return err }},
		{"fcntl F_SETFL", unix.SYS_FCNTL, nil, []syscall.Errno{syscall.EPERM},
			func() error { return syscalls.SetNoAtime(a) }},
		{"fsync", unix.SYS_FSYNC, nil, []syscall.Errno{syscall.EINVAL}, func() error { return syscalls.Fsync(a) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			cannot := slices.Concat(test.cannot, always)
			for _, errno := range slices.Concat(cannot, test.fails, failures) {
				want := wantErr
				if slices.Contains(cannot, errno) {
					want = wantUnsupported
				}
				want(t, refused(t, refusal{test.nr, -1, 0, errno}, test.call), test.name, errno)
			}
		})
	}
	wantContents(t, b, zeros(page))
	wantNames(t, dir, "a", "b")
}

// EINVAL is the kernel's word for memory that may not be populated, and an older one's for not
// knowing how: only that is a reason to go another way.
func TestPopulateUnknown(t *testing.T) {
	mounttest.Leaks(t)
	mem := mmap(t, newFile(t, mounttest.Dir(t, mounttest.Host), "file", zeros(page)), page, true)
	for advice, write := range map[uint32]bool{unix.MADV_POPULATE_READ: false, unix.MADV_POPULATE_WRITE: true} {
		err := refused(t, refusal{unix.SYS_MADVISE, 2, advice, syscall.EINVAL}, func() error { return syscalls.Populate(mem, write) })
		wantUnsupported(t, err, "madvise POPULATE", syscall.EINVAL)
		err = refused(t, refusal{unix.SYS_MADVISE, 2, advice, syscall.EIO}, func() error { return syscalls.Populate(mem, write) })
		wantErr(t, err, "madvise POPULATE", syscall.EIO)
	}
}

// On Linux, a close that was interrupted has closed, and closing again might close another's.
func TestCloseInterrupted(t *testing.T) {
	mounttest.Leaks(t)
	fd := open(t, mounttest.Dir(t, mounttest.Host), unix.O_RDONLY)
	closed := make(chan error)
	go func() {
		closed <- refused(t, refusal{unix.SYS_CLOSE, 0, uint32(fd), syscall.EINTR}, func() error { return syscalls.Close(fd) })
	}()
	select {
	case err := <-closed:
		must(t, err)
	case <-time.After(time.Minute):
		t.Fatal("Close does not end")
	}
}

func TestBadDescriptor(t *testing.T) {
	mounttest.Leaks(t)
	lacking := map[string]bool{
		"Ficlone":         lacks(t, "FICLONE"),
		"CopyFileRange":   lacks(t, "copy_file_range"),
		"RenameNoReplace": lacks(t, "renameat2"),
		"AppendOnly":      lacks(t, "statx"),
	}
	fd := newFile(t, mounttest.Dir(t, mounttest.Host), "file", zeros(page))
	gone, err := unix.Dup(fd)
	must(t, err)
	must(t, unix.Close(gone))
	mem := mmap(t, fd, page, true)
	const minInt = -1 << 31
	for _, bad := range []int{-1, gone, 1 << 30, minInt} {
		for name, call := range map[string]func() error{
			"Ficlone dst":         func() error { return syscalls.Ficlone(bad, fd) },
			"Ficlone src":         func() error { return syscalls.Ficlone(fd, bad) },
			"CopyFileRange dst":   func() error { return count(syscalls.CopyFileRange(bad, 0, fd, 0, 1)) },
			"CopyFileRange src":   func() error { return count(syscalls.CopyFileRange(fd, 0, bad, 0, 1)) },
			"DedupeRange src":     func() error { return count(syscalls.DedupeRange(fd, bad, 0, page)) },
			"SeekData":            func() error { return second(syscalls.SeekData(bad, 0)) },
			"SeekHole":            func() error { return second(syscalls.SeekHole(bad, 0)) },
			"Pread":               func() error { return count(syscalls.Pread(bad, zeros(1), 0)) },
			"Pread of nothing":    func() error { return count(syscalls.Pread(bad, nil, 0)) },
			"Pwrite":              func() error { return count(syscalls.Pwrite(bad, zeros(1), 0)) },
			"Pwrite of nothing":   func() error { return count(syscalls.Pwrite(bad, nil, 0)) },
			"PunchHole":           func() error { return syscalls.PunchHole(bad, 0, 1) },
			"Ftruncate":           func() error { return syscalls.Ftruncate(bad, 0) },
			"Mmap":                func() error { return second(syscalls.Mmap(bad, page, false)) },
			"MremapDontunmap":     func() error { return second(syscalls.MremapDontunmap(mem, bad, 2*page)) },
			"OpenPath":            func() error { return descriptor(syscalls.OpenPath(bad, "x")) },
			"OpenDir":             func() error { return descriptor(syscalls.OpenDir(bad, "x")) },
			"Reopen":              func() error { return descriptor(syscalls.Reopen(bad)) },
			"ReopenWritable":      func() error { return descriptor(syscalls.ReopenWritable(bad)) },
			"ReopenDir":           func() error { return descriptor(syscalls.ReopenDir(bad)) },
			"Tmpfile":             func() error { return descriptor(syscalls.Tmpfile(bad, 0)) },
			"TmpfileExcl":         func() error { return descriptor(syscalls.TmpfileExcl(bad, 0)) },
			"Linkat":              func() error { return syscalls.Linkat(bad, fd, "x") },
			"Linkat dirfd":        func() error { return syscalls.Linkat(fd, bad, "x") },
			"Readlinkat":          func() error { return second(syscalls.Readlinkat(bad)) },
			"Renameat":            func() error { return syscalls.Renameat(bad, "x", "y") },
			"CreateExcl":          func() error { return descriptor(syscalls.CreateExcl(bad, "x", 0)) },
			"RenameNoReplace":     func() error { return syscalls.RenameNoReplace(bad, "x", "y") },
			"Unlinkat":            func() error { return syscalls.Unlinkat(bad, "x") },
			"CanWrite":            func() error { return syscalls.CanWrite(bad, syscalls.AtFdcwd, "x") },
			"Close":               func() error { return syscalls.Close(bad) },
			"Fstat":               func() error { return second(syscalls.Fstat(bad)) },
			"FstatSync":           func() error { return second(syscalls.FstatSync(bad)) },
			"Fchown":              func() error { return syscalls.Fchown(bad, 0, 0) },
			"Fchmod":              func() error { return syscalls.Fchmod(bad, 0) },
			"Flistxattr":          func() error { return second(syscalls.Flistxattr(bad)) },
			"Fgetxattr":           func() error { return second(syscalls.Fgetxattr(bad, "user.x")) },
			"Fsetxattr":           func() error { return syscalls.Fsetxattr(bad, "user.x", nil) },
			"Fremovexattr":        func() error { return syscalls.Fremovexattr(bad, "user.x") },
			"Extents":             func() error { return count(syscalls.Extents(bad, 0, 1)) },
			"Funlock":             func() error { return syscalls.Funlock(bad) },
			"Nocow":               func() error { return second(syscalls.Nocow(bad)) },
			"SetNocow":            func() error { return syscalls.SetNocow(bad, true) },
			"AppendOnly":          func() error { return second(syscalls.AppendOnly(bad)) },
			"Readable":            func() error { return second(syscalls.Readable(bad)) },
			"Fsync":               func() error { return syscalls.Fsync(bad) },
			"WritebackAndWait":    func() error { return syscalls.WritebackAndWait(bad) },
			"WritebackError":      func() error { return syscalls.WritebackError(bad) },
			"SetLease":            func() error { return syscalls.SetLease(bad, syscalls.ReadLease) },
			"SetLease to NoLease": func() error { return syscalls.SetLease(bad, syscalls.NoLease) },
			"GetLease":            func() error { return second(syscalls.GetLease(bad)) },
			"FsType":              func() error { return second(syscalls.FsType(bad)) },
			"Seal":                func() error { return syscalls.Seal(bad) },
			"OpenRead":            func() error { return descriptor(syscalls.OpenRead(bad, "x")) },
			"OpenReadWrite":       func() error { return descriptor(syscalls.OpenReadWrite(bad, "x")) },
			"SetNoAtime":          func() error { return syscalls.SetNoAtime(bad) },
			"TryFlock":            func() error { return syscalls.TryFlock(bad) },
		} {
			if function, _, _ := strings.Cut(name, " "); lacking[function] {
				t.Logf("%s is left out: this kernel lacks its system call", name)
				continue
			}
			err := call()
			if _, named := err.(*os.SyscallError); !named || !errors.Is(err, syscall.EBADF) || errors.Is(err, errors.ErrUnsupported) { //nolint:errorlint // the outermost names the call
				t.Errorf("%s(%d): %v (%T), want EBADF", name, bad, err, err)
			}
		}
		// This goes by the name of the descriptor in /proc.
		wantErr(t, second(syscalls.FdPath(bad)), "readlink", syscall.ENOENT)
	}
	wantContents(t, fd, zeros(page))
}

// count returns err if nothing was counted.
func count(n int, err error) error {
	if n != 0 {
		return errors.New("something was counted beside an error")
	}
	return err
}

// descriptor returns err if it came without one.
func descriptor(fd int, err error) error {
	if fd != -1 {
		return errors.New("a descriptor beside an error")
	}
	return err
}
