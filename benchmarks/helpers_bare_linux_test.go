package benchmarks

import (
	"path/filepath"
	"strconv"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"golang.org/x/sys/unix"
)

// bare makes the system calls that opening and closing a snapshot by reflink needs, in the order in
// which the library needs them, and no others: it is the limit of Open and Close.
//
//   - The name is resolved without an effect on the file: the directory and the file are opened
//     with O_PATH, and fstat shows that the file is regular.
//   - /proc/self/fd opens that same file for reading, whatever its name leads to by now.
//   - The second fstat shows that the clone has all bytes and no name.
func bare(tb testing.TB, name string) interleave.Way {
	return interleave.Once("bare", func() {
		c := cloneBare(tb, name)
		closeBare(tb, c.src, c.dir, c.path, c.dst)
	})
}

// bareMapped is bare with the mapping: Close makes the memory inaccessible, and the garbage
// collector unmaps it later. It is the limit of an Open that maps at once.
func bareMapped(tb testing.TB, name string) interleave.Way {
	return interleave.Once("bare-mapped", func() {
		c := cloneBare(tb, name)
		mem, err := unix.MmapPtr(c.dst, 0, nil, c.size, unix.PROT_READ, unix.MAP_SHARED)
		check(tb, err)
		closeBare(tb, c.src, c.dir, c.path)
		_, err = unix.MmapPtr(-1, 0, mem, c.size, unix.PROT_NONE,
			unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
		check(tb, err)
		closeBare(tb, c.dst)
		check(tb, unix.MunmapPtr(mem, c.size))
	})
}

// shortest makes the fewest system calls that clone a file: it opens the name at once, waits if the
// name leads to a FIFO, and believes in the clone. The library cannot do without the other calls of
// bare.
func shortest(tb testing.TB, name string) interleave.Way {
	dir := filepath.Dir(name)
	return interleave.Once("shortest", func() {
		src, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		check(tb, err)
		dst := tmpfileBare(tb, unix.AT_FDCWD, dir)
		check(tb, unix.IoctlFileClone(dst, src))
		closeBare(tb, src, dst)
	})
}

// A bareClone holds the descriptors that an Open has open at the same time.
type bareClone struct {
	dir, path, src, dst int
	size                uintptr
}

func cloneBare(tb testing.TB, name string) (c bareClone) {
	var st unix.Stat_t
	var err error
	c.dir, err = unix.Open(filepath.Dir(name), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	check(tb, err)
	const path = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
	c.path, err = unix.Openat(c.dir, filepath.Base(name), path, 0)
	check(tb, err)
	check(tb, unix.Fstat(c.path, &st))
	c.src, err = unix.Open("/proc/self/fd/"+strconv.Itoa(c.path), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	check(tb, err)
	c.dst = tmpfileBare(tb, c.dir, ".")
	check(tb, unix.IoctlFileClone(c.dst, c.src))
	check(tb, unix.Fstat(c.dst, &st))
	c.size = uintptr(st.Size)
	return c
}

func tmpfileBare(tb testing.TB, dir int, name string) int {
	fd, err := unix.Openat(dir, name, unix.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC|unix.O_TMPFILE, 0)
	check(tb, err)
	return fd
}

func closeBare(tb testing.TB, fds ...int) {
	for _, fd := range fds {
		check(tb, unix.Close(fd))
	}
}
