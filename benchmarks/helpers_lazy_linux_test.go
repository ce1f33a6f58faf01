package benchmarks

import (
	"context"
	"path/filepath"
	"strconv"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// openLazy opens a snapshot under a lease.
func openLazy(tb testing.TB, name string) *snapshot.Mmap {
	m, err := snapshot.Config{Lazy: true}.Open(context.Background(), name)
	check(tb, err)
	if m.Method() != snapshot.Lease {
		tb.Fatal(m.Method())
	}
	return m
}

func openingLazy(tb testing.TB, name string) interleave.Way {
	return interleave.Once("Lazy", func() { closing(tb, openLazy(tb, name)) })
}

// bareLease makes the system calls that opening and closing a snapshot under a lease needs, in the
// order in which the library makes them, and no others.
//
//   - The name is resolved as in bare.
//   - The kernel is to tell a thread of writers: F_SETSIG, F_SETOWN_EX.
//   - Dirty pages are written, and the file is described, under the lease.
//   - Only after that is it known to a watcher, so a look (F_GETLEASE, and the description compared)
//     finds whether a writer came before.
//   - The lease is given up, and not left to the closing of the descriptor, which a child may have.
func bareLease(tb testing.TB, name string) interleave.Way {
	return interleave.Once("bare", func() {
		var st unix.Statx_t
		statx := func(fd int) {
			const mask = unix.STATX_BASIC_STATS | unix.STATX_MNT_ID_UNIQUE
			check(tb, unix.Statx(fd, "", unix.AT_EMPTY_PATH, mask, &st))
		}
		path, err := unix.Open(name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		check(tb, err)
		statx(path)
		self := "/proc/self/fd/" + strconv.Itoa(path)
		src, err := unix.Open(self, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		check(tb, err)
		fcntl(tb, src, unix.F_SETFL, 0)
		fcntl(tb, src, unix.F_SETSIG, int(unix.SIGURG))
		owner := struct{ kind, id int32 }{0, int32(unix.Gettid())}
		_, _, errno := unix.Syscall(unix.SYS_FCNTL, uintptr(src), unix.F_SETOWN_EX,
			uintptr(unsafe.Pointer(&owner)))
		if errno != 0 {
			tb.Fatal(errno)
		}
		fcntl(tb, src, unix.F_SETLEASE, unix.F_RDLCK)
		check(tb, unix.SyncFileRange(src, 0, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE|
			unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER))
		statx(src)
		dir, err := unix.Open(filepath.Dir(name), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		check(tb, err)
		fcntl(tb, src, unix.F_GETLEASE, 0)
		statx(src)
		closeBare(tb, path)
		fcntl(tb, src, unix.F_SETLEASE, unix.F_UNLCK)
		closeBare(tb, src, dir)
	})
}

func fcntl(tb testing.TB, fd, command, arg int) {
	_, err := unix.FcntlInt(uintptr(fd), command, arg)
	check(tb, err)
}

// readingLazy compares reads of resident pages with and without Lazy.
func readingLazy(tb testing.TB, name string, fileSize, size int64) interleave.Comparison {
	m, err := snapshot.Open(name)
	check(tb, err)
	lazy := openLazy(tb, name)
	tb.Cleanup(func() {
		closing(tb, m)
		closing(tb, lazy)
	})
	warm(tb, m, fileSize)
	warm(tb, lazy, fileSize)
	return interleave.Comparison{Bytes: size, Ways: []interleave.Way{
		readingAt(tb, "Mmap", m, fileSize, size), readingAt(tb, "Lazy", lazy, fileSize, size),
	}}
}
