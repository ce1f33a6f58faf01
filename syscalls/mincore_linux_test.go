package syscalls_test

import (
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

//promise:syscalls.Mincore Mincore reports resident pages
func TestMincore(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		const pages = 64
		fd := newFile(t, dir, "file", noise(pages*page, 1))
		must(t, unix.Fsync(fd))
		b := mmap(t, fd, pages*page, false)
		if kind.Has(mounttest.Disk) { // what is in tmpfs is in memory
			must(t, unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM)) // no read-ahead
			for try := 0; ; try++ {
				must(t, unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED))
				n := resident(t, b)
				if n == 0 {
					break
				}
				if try == 200 {
					t.Fatalf("%d pages are in memory after they were dropped", n)
				}
				time.Sleep(time.Duration(try) * time.Millisecond) // what has just been written is held a moment longer
			}
			_, err := syscalls.Pread(fd, zeros(3*page), 10*int64(page))
			must(t, err)
			if n := resident(t, b); n != 3 {
				t.Errorf("%d pages are in memory, 3 were read", n)
			}
		}
		must(t, syscalls.Populate(b, false))
		if n := resident(t, b); n != pages {
			t.Errorf("%d pages of %d are in memory", n, pages)
		}
		// A part of a page has an answer of its own, and vec must have room for it.
		must(t, syscalls.Mincore(b[:page+1], make([]byte, 2)))
		wantErr(t, syscalls.Mincore(b[:page+1], make([]byte, 1)), "mincore", syscall.EINVAL)
		wantErr(t, syscalls.Mincore(b[1:page], make([]byte, 2)), "mincore", syscall.EINVAL)
		must(t, syscalls.Mincore(nil, nil))
	})
}

// resident counts the pages of b that are in memory.
func resident(t *testing.T, b []byte) (n int) {
	t.Helper()
	vec := make([]byte, (len(b)-1)/page+1)
	must(t, syscalls.Mincore(b, vec))
	for _, v := range vec {
		n += int(v & 1)
	}
	return n
}
