package mapped

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

func testMapping(t *testing.T, write bool) *mapping {
	t.Helper()
	return newMapping(testMemory(t, write))
}

// testMemory maps a file of two pages of ones, of which a page is cut off, so that it faults.
func testMemory(t *testing.T, write bool) []byte {
	t.Helper()
	page := os.Getpagesize()
	fd, err := sys.Memfd("mapped-test")
	if err != nil {
		t.Fatal(err)
	}
	defer syscalls.Close(fd)
	if _, err := sys.Pwrite(fd, bytes.Repeat([]byte{1}, 2*page), 0); err != nil {
		t.Fatal(err)
	}
	mem, err := space.take(2*page, 0, func() ([]byte, error) { return sys.Mmap(fd, 2*page, write) })
	if err != nil {
		t.Fatal(err)
	}
	if err := sys.Ftruncate(fd, int64(page)); err != nil {
		t.Fatal(err)
	}
	return mem
}

// A copy out of a page that cannot be had reports that; others copy.
func TestCopyReportsFault(t *testing.T) {
	mp, page := testMapping(t, true), os.Getpagesize()
	defer mp.release()
	p := make([]byte, page)
	if !mp.tryCopy(p, mp.mem[:page]) || !bytes.Equal(p, bytes.Repeat([]byte{1}, page)) {
		t.Error("the first page cannot be read")
	}
	if !mp.tryCopy(mp.mem[:3], []byte("abc")) || string(mp.mem[:4]) != "abc\x01" {
		t.Errorf("the first page holds %q", mp.mem[:4])
	}
	if mp.tryCopy(p, mp.mem[page:]) || mp.tryCopy(mp.mem[page:], p) {
		t.Error("a page behind the end of the file was copied")
	}
}

// Call reports where its function faulted, and its error if it did not. A fault elsewhere is a
// panic, as any other panic is.
func TestCallReportsFault(t *testing.T) {
	mp, other, page := testMapping(t, false), testMapping(t, false), os.Getpagesize()
	defer mp.release()
	defer other.release()
	mine := errors.New("mine")
	touch := func(off int) func(b []byte) error {
		return func(b []byte) error {
			_ = bytes.Clone(b[off : off+1])
			return mine
		}
	}
	fault, err := mp.call(touch(0), mp.mem)
	if fault != -1 || err != mine { //nolint:errorlint // the same error is promised
		t.Errorf("fault at %d, %v", fault, err)
	}
	fault, err = mp.call(touch(page+10), mp.mem)
	if fault != page+10 || err != nil {
		t.Errorf("fault at %d, %v, want at %d", fault, err, page+10)
	}
	for what, f := range map[string]func([]byte) error{
		"a fault elsewhere": func([]byte) error { _ = bytes.Clone(other.mem[page : page+1]); return nil },
		"another panic":     func([]byte) error { panic("mine") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is no panic", what)
				}
			}()
			_, _ = mp.call(f, mp.mem)
		}()
	}
}

// The memory can be used until the last reference is released, and never again.
func TestReleaseRevokes(t *testing.T) {
	mp := testMapping(t, false)
	touch := func() { _ = bytes.Clone(mp.mem[:1]) }
	if !mp.acquire() {
		t.Error("no reference can be had")
	}
	mp.release()
	if systest.Faults(touch) {
		t.Error("the memory is gone before the last reference")
	}
	mp.release()
	if !systest.Faults(touch) {
		t.Error("the memory is there after the last reference")
	}
	if mp.acquire() {
		t.Error("a reference can be had after the last one")
	}
}

// Where the last reference cannot replace the memory, as at vm.max_map_count, it protects it. What
// is left to do is tried again.
func TestRevokeIsTriedAgain(t *testing.T) {
	for _, refused := range [][]string{{"mmap none"}, {"mmap none", "mprotect"}} {
		mp := testMapping(t, false)
		touch := func() { _ = bytes.Clone(mp.mem[:1]) }
		undo := systest.Intercept(t, func(call string) error {
			if slices.Contains(refused, call) {
				return syscall.ENOMEM
			}
			return nil
		})
		mp.release()
		undo()
		protected := len(refused) == 1
		if mp.acquire() || mp.revoked.Load() != protected || systest.Faults(touch) != protected {
			t.Errorf("%q fail: revoked is %v", refused, mp.revoked.Load())
		}
		if !mp.revoke() || !mp.released.Load() || !systest.Faults(touch) {
			t.Errorf("%q fail: the memory can be used, or is still of the file", refused)
		}
	}
}

// Memory that no code can have kept is unmapped at once when it is unreachable.
func TestUnreachableIsUnmapped(t *testing.T) {
	a, vec := &addresses{mem: testMemory(t, false)}, make([]byte, 2)
	must(t, sys.Mincore(a.mem, vec))
	a.refs.Store(1)
	a.finalize()
	if a.revoked.Load() || sys.Mincore(a.mem, vec) == nil {
		t.Error("it was revoked, or is still there")
	}
}

// A panic of the function is not lost if a function that it deferred faults: the fault goes on as a
// panic, too. A fault after a fault, or with no other panic, is no panic.
//
//promise:snapshot.Mmap.View a panic of f goes on, even if a function that f deferred faults
//promise:snapshot.MmapMut.View a panic of f goes on, even if a function that f deferred faults
func TestCallKeepsPanic(t *testing.T) {
	mp, page := testMapping(t, false), os.Getpagesize()
	defer mp.release()
	fault := func(b []byte) { _ = bytes.Clone(b[page : page+1]) }
	deep := func(n int) {
		var down func(n int)
		down = func(n int) {
			if n > 0 {
				down(n - 1)
				return
			}
			panic("mine")
		}
		down(n)
	}
	var index []int
	for what, c := range map[string]struct {
		f      func(b []byte) error
		panics bool
	}{
		"a fault":               {func(b []byte) error { fault(b); return nil }, false},
		"a deferred fault":      {func(b []byte) error { defer fault(b); return nil }, false},
		"two faults":            {func(b []byte) error { defer fault(b); fault(b); return nil }, false},
		"a panic and a fault":   {func(b []byte) error { defer fault(b); panic("mine") }, true},
		"deep in the stack":     {func(b []byte) error { defer fault(b); deep(1000); return nil }, true},
		"an index and a fault":  {func(b []byte) error { defer fault(b); index[len(b)] = 1; return nil }, true},
		"a fault and a panic":   {func(b []byte) error { defer panic("mine"); fault(b); return nil }, true},
		"a panic that is over":  {func(b []byte) error { recovered(); fault(b); return nil }, false},
		"nested, of one inside": {func(b []byte) error { return nested(mp, b, fault) }, true},
	} {
		func() {
			defer func() {
				if r := recover(); (r != nil) != c.panics {
					t.Errorf("%s: panic %v", what, r)
				}
			}()
			if at, err := mp.call(c.f, mp.mem); at != page || err != nil {
				t.Errorf("%s: fault at %d, %v", what, at, err)
			}
		}()
	}
}

// recovered panics and recovers.
func recovered() {
	defer func() { _ = recover() }()
	panic("mine")
}

// nested panics, and faults in a call that a deferred function makes; that fault is an error of the
// inner call, and the panic goes on.
func nested(m *mapping, b []byte, fault func(b []byte)) error {
	defer func() {
		if at, _ := m.call(func(b []byte) error { fault(b); return nil }, b); at < 0 {
			panic("the inner call has no fault")
		}
	}()
	panic("mine")
}
