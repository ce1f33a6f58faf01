package syscalls_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

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
	if off, ok := syscalls.AddrOffset(b, addr); !ok || off != i {
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
