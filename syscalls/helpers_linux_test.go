package syscalls_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var page = os.Getpagesize()

// each runs f in a directory of each filesystem, tells of which kind it is, and checks that f leaves
// neither a descriptor nor a mapping. The helpers below make clean-ups for what they open, so
// only what the package under test opens can leak.
func each(t *testing.T, f func(t *testing.T, kind *mounttest.Kind, dir string)) {
	t.Helper()
	mounttest.Each(t, func(t *testing.T, dir string) { on(t, dir, f) })
}

// eachOf is each, for those with the properties.
func eachOf(t *testing.T, p mounttest.Property, f func(t *testing.T, kind *mounttest.Kind, dir string)) {
	t.Helper()
	mounttest.EachOf(t, p, func(t *testing.T, dir string) { on(t, dir, f) })
}

func on(t *testing.T, dir string, f func(t *testing.T, kind *mounttest.Kind, dir string)) {
	kind := mounttest.KindOf(dir)
	if kind == nil {
		t.Skip("the host's filesystem is none of those whose answers are known")
	}
	mounttest.Leaks(t)
	f(t, kind, dir)
}

// wantErr checks that err names the call and holds the errno, and does not say that another way
// might do.
func wantErr(t *testing.T, err error, call string, errno syscall.Errno) {
	t.Helper()
	wantErrno(t, err, call, errno)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v: says ErrUnsupported", err)
	}
}

// wantUnsupported checks that err says besides that the kernel cannot do it here.
func wantUnsupported(t *testing.T, err error, call string, errno syscall.Errno) {
	t.Helper()
	wantErrno(t, err, call, errno)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v: does not say ErrUnsupported", err)
	}
}

func wantErrno(t *testing.T, err error, call string, errno syscall.Errno) {
	t.Helper()
	named, ok := err.(*os.SyscallError) //nolint:errorlint // the outermost names the call
	if !ok || named.Syscall != call || !errors.Is(err, errno) {
		t.Errorf("error is %v (%T), want that of %s with %v", err, err, call, errno)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// closeLater also checks that nobody closed fd before.
func closeLater(t *testing.T, fd int) int {
	t.Helper()
	t.Cleanup(func() {
		if err := unix.Close(fd); err != nil {
			t.Errorf("close of descriptor %d, which was the test's: %v", fd, err)
		}
	})
	return fd
}

func open(t *testing.T, name string, flags int) int {
	t.Helper()
	fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	return closeLater(t, fd)
}

// newFile makes the file dir/name and opens it for reading and writing.
func newFile(t *testing.T, dir, name string, data []byte) int {
	t.Helper()
	fd := open(t, filepath.Join(dir, name), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
	write(t, fd, data, 0)
	return fd
}

func write(t *testing.T, fd int, data []byte, off int64) {
	t.Helper()
	for len(data) > 0 {
		n, err := unix.Pwrite(fd, data, off)
		must(t, err)
		data, off = data[n:], off+int64(n)
	}
}

// contents reads the whole file.
func contents(t *testing.T, fd int) []byte {
	t.Helper()
	data := make([]byte, stat(t, fd).Size)
	for n := 0; n < len(data); {
		m, err := unix.Pread(fd, data[n:], int64(n))
		must(t, err)
		if m == 0 {
			t.Fatalf("the file ends at %d of %d", n, len(data))
		}
		n += m
	}
	return data
}

func wantContents(t *testing.T, fd int, want ...[]byte) {
	t.Helper()
	data, all := contents(t, fd), bytes.Join(want, nil)
	if bytes.Equal(data, all) {
		return
	}
	i := 0
	for i < len(data) && i < len(all) && data[i] == all[i] {
		i++
	}
	t.Errorf("the file has %d bytes, want %d; they differ from byte %d", len(data), len(all), i)
}

func stat(t *testing.T, fd int) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Fstat(fd, &st))
	return st
}

// unchanged returns a check that nothing about the file is other than now.
func unchanged(t *testing.T, fd int) (check func()) {
	t.Helper()
	before, data := stat(t, fd), contents(t, fd)
	return func() {
		t.Helper()
		after := stat(t, fd)
		before.Atim = after.Atim
		if before != after {
			t.Errorf("the file is changed:\n%+v\nwas\n%+v", after, before)
		}
		wantContents(t, fd, data)
	}
}

// noise is n bytes, none of them 0, that depend on the seed.
func noise(n int, seed byte) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	for i := range b {
		b[i] |= 1
	}
	return b
}

func zeros(n int) []byte { return make([]byte, n) }

// opened is what the package under test opened, without an error.
func opened(t *testing.T, fd int, err error) int {
	t.Helper()
	must(t, err)
	return closeLater(t, fd)
}

func openDir(t *testing.T, dir string) int {
	t.Helper()
	fd, err := syscalls.OpenDir(syscalls.AtFdcwd, dir)
	return opened(t, fd, err)
}

func openPath(t *testing.T, dir, name string) int {
	t.Helper()
	fd, err := syscalls.OpenPath(openDir(t, dir), name)
	return opened(t, fd, err)
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if strings.Join(names, " ") != strings.Join(want, " ") {
		t.Errorf("the directory holds %v, want %v", names, want)
	}
}

func tmpfile(t *testing.T, dirfd int, perm uint32) int {
	t.Helper()
	fd, err := syscalls.Tmpfile(dirfd, perm)
	return opened(t, fd, err)
}

// quickly keeps the race detector from letting every process sleep a second at its end.
const quickly = "GORACE=atexit_sleep_ms=0"

func wantLease(t *testing.T, fd, want int) {
	t.Helper()
	if kind, err := syscalls.GetLease(fd); kind != want || err != nil {
		t.Errorf("the lease is %d, %v, want %d", kind, err, want)
	}
}
