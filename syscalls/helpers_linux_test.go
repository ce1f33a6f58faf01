package syscalls_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// What the filesystems can; a test that depends on it looks here.
var (
	reflinks = map[string]bool{"xfs": true, "btrfs": true}
	nocows   = map[string]bool{"btrfs": true}
)

var page = os.Getpagesize()

// each runs f in a directory of each filesystem, tells which it is, and checks
// that f leaves neither a descriptor nor a mapping. The helpers below make clean-ups
// for what they open, so only what the package under test opens can leak.
func each(t *testing.T, f func(t *testing.T, kind, dir string)) {
	t.Helper()
	mounttest.Each(t, func(t *testing.T, dir string) { on(t, dir, f) })
}

// eachOf is each, for those that can.
func eachOf(t *testing.T, can map[string]bool, f func(t *testing.T, kind, dir string)) {
	t.Helper()
	mounttest.EachOf(t, slices.Sorted(maps.Keys(can)), func(t *testing.T, dir string) { on(t, dir, f) })
}

func on(t *testing.T, dir string, f func(t *testing.T, kind, dir string)) {
	kind := mounttest.Kind(dir)
	if kind == "" {
		t.Skip("the host's filesystem is none of those whose answers are known")
	}
	mounttest.Leaks(t)
	f(t, kind, dir)
}

// wantErr checks that err names the call and holds the errno, and does not say that
// another way might do.
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
	named, ok := err.(*os.SyscallError)
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
func noise(n int, seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(1 + random.IntN(255))
	}
	return b
}

func zeros(n int) []byte { return make([]byte, n) }

// mmap maps the start of a file and unmaps what is still mapped of it at the end.
func mmap(t *testing.T, fd int, length int, write bool) []byte {
	t.Helper()
	b, err := syscalls.Mmap(fd, length, write)
	must(t, err)
	return unmapLater(t, b)
}

func unmapLater(t *testing.T, b []byte) []byte {
	t.Cleanup(func() { must(t, syscalls.Munmap(b)) })
	return b
}

// sink keeps the compiler from leaving a read out.
var sink byte

func load(b []byte, i int) func()          { return func() { sink = b[i] } }
func store(b []byte, i int, v byte) func() { return func() { b[i] = v } }

// fault runs f and returns the address at which it faulted, 0 if it did not.
func fault(f func()) (addr uintptr) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			addr = p.(interface{ Addr() uintptr }).Addr()
		}
	}()
	f()
	return 0
}

// wantFault checks that f faults at byte i of b, or with i < 0 that it does not.
func wantFault(t *testing.T, what string, f func(), b []byte, i int) {
	t.Helper()
	addr := fault(f)
	if addr == 0 && i < 0 {
		return
	}
	if off, ok := syscalls.Offset(b, addr); !ok || off != i {
		t.Errorf("%s: fault at %#x, byte %d of the mapping (%t), want byte %d", what, addr, off, ok, i)
	}
}

// mappings returns the lines of /proc/self/maps by where they begin and end.
func mappings(t *testing.T) map[[2]uintptr]string {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	must(t, err)
	lines := map[[2]uintptr]string{}
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
			t.Fatal(err)
		}
		lines[[2]uintptr{from, to}] = line
	}
	return lines
}

// mapped describes what the page at byte i of b is part of: its permissions and file,
// as /proc/self/maps has them, or "" if nothing is mapped there.
func mapped(t *testing.T, b []byte, i int) string {
	t.Helper()
	addr := syscalls.Address(b) + uintptr(i)
	for lies, line := range mappings(t) {
		if fields := strings.Fields(line); addr >= lies[0] && addr < lies[1] {
			return fields[1] + " " + strings.Join(fields[5:], " ")
		}
	}
	return ""
}

// present counts the pages of b that this process can touch without a fault.
func present(t *testing.T, b []byte) (n int) {
	t.Helper()
	f, err := os.Open("/proc/self/pagemap")
	must(t, err)
	defer f.Close()
	entries := make([]byte, 8*((len(b)+page-1)/page))
	_, err = f.ReadAt(entries, int64(syscalls.Address(b))/int64(page)*8)
	must(t, err)
	for i := 0; i < len(entries); i += 8 {
		if binary.NativeEndian.Uint64(entries[i:])>>63 == 1 {
			n++
		}
	}
	return n
}
