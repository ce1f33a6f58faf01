package syscalls_test

import (
	"io"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var _ = describe(
	call{
		function: "SeekData", name: "lseek SEEK_DATA", number: unix.SYS_LSEEK,
		do:          func(f *files) error { return second(syscalls.SeekData(f.file(), 0)) },
		unsupported: errnos{syscall.EINVAL},
		failures:    errnos{syscall.ENXIO},
	},
	call{
		function: "SeekHole", name: "lseek SEEK_HOLE", number: unix.SYS_LSEEK,
		do:          func(f *files) error { return second(syscalls.SeekHole(f.file(), 0)) },
		unsupported: errnos{syscall.EINVAL},
		failures:    errnos{syscall.ENXIO},
	},
	call{
		function: "Ftruncate", name: "ftruncate", number: unix.SYS_FTRUNCATE,
		do:       func(f *files) error { return syscalls.Ftruncate(f.file(), int64(page)) },
		failures: errnos{syscall.EPERM, syscall.EINVAL, syscall.EFBIG},
	},
)

//promise:syscalls.SeekData SeekData finds the next data, or ENXIO, and moves the offset
//promise:syscalls.SeekHole SeekHole finds the next hole, or the end, and moves the offset
func TestSeekDataSeekHole(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		// Data, a hole, data, a hole.
		fd := newFile(t, dir, "file", noise(64<<10, 1))
		write(t, fd, noise(64<<10, 2), 1<<20)
		must(t, unix.Ftruncate(fd, 2<<20))
		for _, test := range []struct {
			name  string
			call  func(int, int64) (int64, error)
			off   int64
			want  int64
			errno syscall.Errno
		}{
			{"lseek SEEK_DATA", syscalls.SeekData, 0, 0, 0},
			{"lseek SEEK_DATA", syscalls.SeekData, 1234, 1234, 0},
			{"lseek SEEK_HOLE", syscalls.SeekHole, 0, 64 << 10, 0},
			{"lseek SEEK_DATA", syscalls.SeekData, 64 << 10, 1 << 20, 0},
			{"lseek SEEK_HOLE", syscalls.SeekHole, 70000, 70000, 0},
			{"lseek SEEK_HOLE", syscalls.SeekHole, 1 << 20, 1<<20 + 64<<10, 0},
			{"lseek SEEK_DATA", syscalls.SeekData, 1<<20 + 64<<10, 0, syscall.ENXIO},
			{"lseek SEEK_DATA", syscalls.SeekData, 2 << 20, 0, syscall.ENXIO},
			{"lseek SEEK_HOLE", syscalls.SeekHole, 2 << 20, 0, syscall.ENXIO},
		} {
			pos, err := test.call(fd, test.off)
			if test.errno != 0 {
				wantErr(t, err, test.name, test.errno)
				continue
			}
			if pos != test.want || err != nil {
				t.Errorf("%s from %d: %d, %v, want %d", test.name, test.off, pos, err, test.want)
			}
			if at, err := unix.Seek(fd, 0, io.SeekCurrent); at != pos || err != nil {
				t.Errorf("%s: the offset is %d (%v), want %d", test.name, at, err, pos)
			}
		}
		full := newFile(t, dir, "full", noise(5000, 1))
		if pos, err := syscalls.SeekHole(full, 0); pos != 5000 || err != nil {
			t.Errorf("the hole at the end is at %d, %v", pos, err)
		}
	})
}

// Directories, pipes and special files have no holes, or report none.
func TestSeekOfSpecialFiles(t *testing.T) {
	proc := open(t, "/proc/self/status", unix.O_RDONLY)
	_, err := syscalls.SeekData(proc, 0)
	wantUnsupported(t, err, "lseek SEEK_DATA", syscall.EINVAL)
	_, err = syscalls.SeekHole(proc, 0)
	wantUnsupported(t, err, "lseek SEEK_HOLE", syscall.EINVAL)

	var pipe [2]int
	must(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
	closeLater(t, pipe[0])
	closeLater(t, pipe[1])
	_, err = syscalls.SeekData(pipe[0], 0)
	wantErr(t, err, "lseek SEEK_DATA", syscall.ESPIPE)

	// sysfs knows no holes: a page of data, it says, then the one at the end.
	sys := open(t, "/sys/kernel/uevent_seqnum", unix.O_RDONLY)
	if pos, err := syscalls.SeekData(sys, 10); pos != 10 || err != nil {
		t.Errorf("data at %d, %v, want 10", pos, err)
	}
	if pos, err := syscalls.SeekHole(sys, 10); pos != stat(t, sys).Size || err != nil {
		t.Errorf("hole at %d, %v, want %d", pos, err, stat(t, sys).Size)
	}
}

//promise:syscalls.Ftruncate a file grows by a hole
func TestFtruncate(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data := noise(8192, 1)
		fd := newFile(t, dir, "file", data)
		must(t, syscalls.Ftruncate(fd, 1<<20))
		wantContents(t, fd, data, zeros(1<<20-8192))
		if pos, err := unix.Seek(fd, 0, unix.SEEK_HOLE); pos != 8192 || err != nil {
			t.Errorf("hole at %d, %v", pos, err)
		}
		must(t, syscalls.Ftruncate(fd, 100))
		wantContents(t, fd, data[:100])
		// What was cut off does not come back.
		must(t, syscalls.Ftruncate(fd, 8192))
		wantContents(t, fd, data[:100], zeros(8092))

		check := unchanged(t, fd)
		wantErr(t, syscalls.Ftruncate(fd, -1), "ftruncate", syscall.EINVAL)
		wantErr(t, syscalls.Ftruncate(open(t, filepath.Join(dir, "file"), unix.O_RDONLY), 0), "ftruncate", syscall.EINVAL)
		check()
	})
}
