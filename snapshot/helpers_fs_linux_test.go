package snapshot_test

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// The checks that package mounttest has.
var (
	wantBytes = mounttest.WantBytes
	wantFile  = mounttest.WantFile
	wantNames = mounttest.WantNames
	namesIn   = mounttest.NamesIn
)

// reflinks reports whether the filesystem of dir has them.
func reflinks(dir string) bool {
	return mounttest.Has(dir, mounttest.Reflinks)
}

// copying filesystems are those where data are copied, under a lease.
const copying = mounttest.Leases | mounttest.NoReflinks

// onDisk filesystems lie on a disk and have no reflinks.
const onDisk = mounttest.Disk | mounttest.NoReflinks

func write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func openFile(t *testing.T, name string, flag int) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, flag, 0)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func wantMode(t testing.TB, name string, want fs.FileMode) {
	t.Helper()
	fi, err := os.Stat(name)
	must(t, err)
	if fi.Mode() != want {
		t.Errorf("mode of %s is %v, want %v", name, fi.Mode(), want)
	}
}

func fileSize(t testing.TB, name string) int64 {
	t.Helper()
	fi, err := os.Stat(name)
	must(t, err)
	return fi.Size()
}

// usedBytes is what is used of the filesystem of dir, as far as it has been allocated.
func usedBytes(t *testing.T, dir string) int64 {
	t.Helper()
	d, err := os.Open(dir)
	must(t, err)
	defer d.Close()
	var st syscall.Statfs_t
	must(t, syscall.Fstatfs(int(d.Fd()), &st))
	return int64(st.Blocks-st.Bfree) * int64(st.Bsize)
}

// syncFile brings all of the filesystem of name to the disk: what is used is known only then.
func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// syncfs writes all of the filesystem of dir to its device.
func syncfs(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd())))
}

// fill writes a file until the disk is full.
func fill(t testing.TB, name string) {
	t.Helper()
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	p := noise(2, 1<<20)
	for n := len(p); n >= 512; n /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(p[:n])
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		_ = f.Sync()
	}
}

// onSmallDisks runs test on new filesystems that are soon full.
func onSmallDisks(t *testing.T, test func(t *testing.T, dir string)) {
	mounttest.EachKind(t, mounttest.Known, func(t *testing.T, kind *mounttest.Kind) {
		test(t, kind.Fresh(t, 0))
	})
}

// limitFileSize has the kernel refuse this process files of more than size bytes until undo.
func limitFileSize(t *testing.T, size uint64) (undo func()) {
	t.Helper()
	var old syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: old.Max}))
	return func() { must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old)) }
}

// changes is what others do to a file.
var changes = []struct {
	name string
	do   func(t *testing.T, name string)
}{
	{"overwrite", func(t *testing.T, name string) {
		f := openFile(t, name, os.O_RDWR)
		_, err := f.WriteAt(noise(99, 20000), 0)
		must(t, err)
		must(t, f.Sync())
	}},
	{"truncate", func(t *testing.T, name string) { must(t, os.Truncate(name, 0)) }},
	{"shorten", func(t *testing.T, name string) { must(t, os.Truncate(name, 5000)) }},
	{"append", func(t *testing.T, name string) {
		_, err := openFile(t, name, os.O_WRONLY|os.O_APPEND).Write(noise(98, 20000))
		must(t, err)
	}},
	{"unlink", func(t *testing.T, name string) { must(t, os.Remove(name)) }},
	{"rename over", func(t *testing.T, name string) {
		write(t, name+".new", noise(97, 100))
		must(t, os.Rename(name+".new", name))
	}},
	{"punch hole", func(t *testing.T, name string) {
		const hole = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
		must(t, unix.Fallocate(int(openFile(t, name, os.O_RDWR).Fd()), hole, 4096, 8192))
	}},
	{"store through a mapping", func(t *testing.T, name string) {
		f := openFile(t, name, os.O_RDWR)
		b, err := syscalls.Mmap(int(f.Fd()), 12289, true)
		must(t, err)
		clear(b)
		must(t, unix.Msync(b, unix.MS_SYNC))
		must(t, syscalls.Munmap(b))
	}},
}

// openPathFile opens a file by O_PATH.
func openPathFile(t *testing.T, name string) *os.File {
	t.Helper()
	fd, err := syscalls.OpenPath(syscalls.AtFdcwd, name)
	must(t, err)
	f := os.NewFile(uintptr(fd), name)
	t.Cleanup(func() { _ = f.Close() })
	return f
}
