package syscalls_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var _ = describe(
	call{
		function: "Fsync", name: "fsync", number: unix.SYS_FSYNC,
		do:       func(f *files) error { return syscalls.Fsync(f.file()) },
		failures: errnos{syscall.EINVAL},
	},
	call{
		function: "WritebackAndWait", name: "sync_file_range", number: none,
		do: func(f *files) error { return syscalls.WritebackAndWait(f.file()) },
	},
	call{
		function: "WritebackError", name: "sync_file_range", number: none,
		do: func(f *files) error { return syscalls.WritebackError(f.file()) },
	},
	call{
		function: "WritebackFailed", name: "sync_file_range", number: none,
		do: func(f *files) error { return syscalls.WritebackFailed(f.file()) },
	},
)

// The table says which calls make the filesystem allocate blocks for dirty pages. On tmpfs, which
// has no disk, the calls do nothing and return no error.
//
//promise:syscalls.Fsync Fsync writes the data of a file to the disk
//promise:syscalls.WritebackAndWait WritebackAndWait writes the data of a file to the disk
//promise:syscalls.WritebackError WritebackError starts no writeback
//promise:syscalls.WritebackFailed WritebackFailed starts no writeback
func TestWriteback(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		for name, test := range map[string]struct {
			call   func(fd int) error
			writes bool
		}{
			"Fsync":            {syscalls.Fsync, true},
			"WritebackAndWait": {syscalls.WritebackAndWait, true},
			"WritebackError":   {syscalls.WritebackError, false},
			"WritebackFailed":  {syscalls.WritebackFailed, false},
		} {
			t.Run(name, func(t *testing.T) {
				var fd int
				data := noise(64*page, 1)
				for try := 0; ; try++ {
					fd = newFile(t, dir, fmt.Sprint(name, try), nil)
					must(t, unix.Ftruncate(fd, int64(64*page)))
					copy(mmap(t, fd, 64*page, true), data)
					if kind.Has(mounttest.Memory) || bytesWith(extents(t, fd), delalloc) > 0 {
						break
					}
					if try == 4 { // the kernel may write them at any time, but not always at once
						t.Fatal("no data is in memory only: nothing is tested")
					}
				}
				must(t, test.call(fd))
				if !kind.Has(mounttest.Memory) {
					left := bytesWith(extents(t, fd), delalloc)
					// Btrfs enters in its books a moment later where the data it has written
					// lies.
					for try := 0; test.writes && left != 0 && try < 3000; try++ {
						time.Sleep(10 * time.Millisecond)
						left = bytesWith(extents(t, fd), delalloc)
					}
					if (left == 0) != test.writes {
						t.Errorf("%d bytes are in memory only, want none: %t", left, test.writes)
					}
				}
				wantContents(t, fd, data)
				// Nothing to write is no error.
				must(t, test.call(fd))
			})
		}
		must(t, syscalls.Fsync(open(t, dir, unix.O_RDONLY)))
	})
}

// The disk of this filesystem, a file on a tmpfs, takes no more data from some moment on.
//
//promise:syscalls.WritebackError each descriptor reports a failed writeback once
//promise:syscalls.WritebackFailed each descriptor reports a failed writeback once
//promise:syscalls.Fsync each descriptor reports a failed writeback once
func TestWritebackFails(t *testing.T) {
	mounttest.Dir(t, mounttest.Disk|mounttest.NoReflinks) // what it takes to have one is there
	mounttest.Leaks(t)
	disk := mounttest.Fresh(t, mounttest.Memory, 64<<20)
	dir := filepath.Join(disk, "mounted")
	must(t, unix.Mkdir(dir, 0o700))
	for _, command := range [][]string{
		{"truncate", "-s", "32M", filepath.Join(disk, "image")},
		{"mkfs.ext4", "-q", "-O", "^has_journal", filepath.Join(disk, "image")},
		{"mount", "-o", "loop", filepath.Join(disk, "image"), dir},
	} {
		cmd := exec.Command(command[0], command[1:]...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
	}
	t.Cleanup(func() { must(t, unix.Unmount(dir, 0)) })
	size := func(n int64) { must(t, unix.Mount("", disk, "", unix.MS_REMOUNT, fmt.Sprintf("size=%d", n))) }
	t.Cleanup(func() { size(64 << 20) })

	names := []string{"WritebackAndWait", "WritebackError", "Fsync", "WritebackFailed"}
	calls := []func(int) error{
		syscalls.WritebackAndWait, syscalls.WritebackError, syscalls.Fsync, syscalls.WritebackFailed,
	}
	// For each call a descriptor that was open when the writing failed.
	file := newFile(t, dir, "file", zeros(page))
	must(t, unix.Fsync(file))
	var fds []int
	for range calls {
		fds = append(fds, open(t, filepath.Join(dir, "file"), unix.O_RDWR))
	}
	var used unix.Statfs_t
	must(t, unix.Statfs(disk, &used))
	size(int64(used.Blocks-used.Bfree) * int64(used.Bsize))
	data := noise(8<<20, 1)
	write(t, file, data, 0)

	// WritebackError starts no writing, so there is no error yet; WritebackAndWait does.
	must(t, syscalls.WritebackError(fds[1]))
	must(t, syscalls.WritebackFailed(fds[3]))
	for i, call := range calls {
		err := call(fds[i])
		var named *os.SyscallError
		if !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOSPC) || !errors.As(err, &named) || errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v, want that the disk failed", names[i], err)
		}
	}
	// They know it now. The pages count as clean: although the disk has room again, nobody
	// writes them any more, and they are lost when memory is wanted for other things.
	size(64 << 20)
	for i, call := range calls {
		if err := call(fds[i]); err != nil {
			t.Errorf("%s tells it again: %v", names[i], err)
		}
	}
	must(t, unix.Fadvise(file, 0, 0, unix.FADV_DONTNEED))
	if bytes.Equal(contents(t, file), data) {
		t.Error("the data was written after all: nothing is tested")
	}
}
