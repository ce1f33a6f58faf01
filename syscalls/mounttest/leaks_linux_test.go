package mounttest_test

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

//promise:mounttest.Leaks Leaks reports leaked descriptors and mappings
func TestLeaksFindsLeaks(t *testing.T) {
	if testing.Short() {
		t.Skip("Leaks waits 4 s before it reports a leak")
	}
	opened, duplicated, mapped := newFile(t), newFile(t), newFile(t)
	fd := openFile(t, duplicated)
	defer syscall.Close(fd)
	tb := fake(t, func(tb testing.TB) {
		mounttest.Leaks(tb)
		leak := openFile(t, opened)
		t.Cleanup(func() { syscall.Close(leak) })

		dup, err := syscall.Dup(fd)
		if err != nil {
			t.Error(err)
		}
		t.Cleanup(func() { syscall.Close(dup) })

		data := mapFile(t, mapped)
		t.Cleanup(func() { _ = syscall.Munmap(data) })
		// Without a name, it is still a file.
		if err := os.Remove(mapped); err != nil {
			t.Error(err)
		}
	})
	for _, say := range []string{": " + opened, ": " + duplicated, mapped + " (deleted)"} {
		tb.wantFailure(t, say)
	}
}

// Leaks accepts descriptors and mappings that later clean-ups or the garbage collector close.
//
//promise:mounttest.Leaks Leaks reports nothing that was closed or unmapped
func TestLeaksPassesOpenFiles(t *testing.T) {
	name := newFile(t)
	kept, data := openFile(t, name), mapFile(t, name)
	defer syscall.Close(kept)
	defer func() { _ = syscall.Munmap(data) }()
	tb := fake(t, func(tb testing.TB) {
		mounttest.Leaks(tb)
		// Clean-ups of the test still to come close what is open.
		late := openFile(t, name)
		tb.Cleanup(func() { syscall.Close(late) })
		// Garbage closes itself; the file is renamed and the mapping split.
		if _, err := os.Open(name); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name, name+"2"); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mprotect(data[:os.Getpagesize()], unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
		// A pipe makes the runtime poll.
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		w.Close()
	})
	if tb.failed != "" {
		t.Error(tb.failed)
	}
	runtime.KeepAlive(data)
}

// newFile returns the path of a file two pages long.
func newFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(mounttest.Dir(t, mounttest.Host), "file")
	if err := os.WriteFile(name, make([]byte, 2*os.Getpagesize()), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func openFile(t *testing.T, name string) int {
	t.Helper()
	fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func mapFile(t *testing.T, name string) []byte {
	t.Helper()
	fd := openFile(t, name)
	defer syscall.Close(fd)
	data, err := syscall.Mmap(fd, 0, 2*os.Getpagesize(), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
