package mapped

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// newMapping maps a file of two pages of ones, of which a page is cut off, so that it faults.
func newMapping(t *testing.T, write bool) *Mapping {
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
	mem, err := Map(fd, 2*page, write)
	if err != nil {
		t.Fatal(err)
	}
	if err := sys.Ftruncate(fd, int64(page)); err != nil {
		t.Fatal(err)
	}
	return New(mem, write, 0)
}

// A copy out of a page that cannot be had reports that; others copy.
func TestCopyReportsFault(t *testing.T) {
	mp, page := newMapping(t, true), os.Getpagesize()
	defer mp.Release()
	p := make([]byte, page)
	if !mp.Copy(p, mp.Mem[:page]) || !bytes.Equal(p, bytes.Repeat([]byte{1}, page)) {
		t.Error("the first page cannot be read")
	}
	if !mp.Copy(mp.Mem[:3], []byte("abc")) || string(mp.Mem[:4]) != "abc\x01" {
		t.Errorf("the first page holds %q", mp.Mem[:4])
	}
	if mp.Copy(p, mp.Mem[page:]) || mp.Copy(mp.Mem[page:], p) {
		t.Error("a page behind the end of the file was copied")
	}
}

// Call reports where its function faulted, and its error if it did not. A fault elsewhere is a
// panic, as any other panic is.
func TestCallReportsFault(t *testing.T) {
	mp, other, page := newMapping(t, false), newMapping(t, false), os.Getpagesize()
	defer mp.Release()
	defer other.Release()
	mine := errors.New("mine")
	touch := func(off int) func(b []byte) error {
		return func(b []byte) error {
			_ = bytes.Clone(b[off : off+1])
			return mine
		}
	}
	fault, err := mp.Call(touch(0), mp.Mem)
	if fault != -1 || err != mine { //nolint:errorlint // the same error is promised
		t.Errorf("fault at %d, %v", fault, err)
	}
	fault, err = mp.Call(touch(page+10), mp.Mem)
	if fault != page+10 || err != nil {
		t.Errorf("fault at %d, %v, want at %d", fault, err, page+10)
	}
	for what, f := range map[string]func([]byte) error{
		"a fault elsewhere": func([]byte) error { _ = bytes.Clone(other.Mem[page : page+1]); return nil },
		"another panic":     func([]byte) error { panic("mine") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is no panic", what)
				}
			}()
			_, _ = mp.Call(f, mp.Mem)
		}()
	}
}

// The memory can be used until the last reference is released, and never again.
func TestReleaseRevokes(t *testing.T) {
	mp := newMapping(t, false)
	touch := func() { _ = bytes.Clone(mp.Mem[:1]) }
	if !mp.Acquire() {
		t.Error("no reference can be had")
	}
	mp.Release()
	if systest.Faults(touch) {
		t.Error("the memory is gone before the last reference")
	}
	mp.Release()
	if !systest.Faults(touch) {
		t.Error("the memory is there after the last reference")
	}
	if mp.Acquire() {
		t.Error("a reference can be had after the last one")
	}
}

// If the memory cannot be made inaccessible by the last reference, that is tried again.
func TestRevokeIsTriedAgain(t *testing.T) {
	mp := newMapping(t, false)
	touch := func() { _ = bytes.Clone(mp.Mem[:1]) }
	undo := systest.Intercept(t, func(call string) error {
		if call == "poison" {
			return syscall.ENOMEM
		}
		return nil
	})
	mp.Release()
	undo()
	if mp.Acquire() || mp.revoked.Load() || systest.Faults(touch) {
		t.Error("the failure of mmap was not noticed")
	}
	if !mp.revoke() || !systest.Faults(touch) {
		t.Error("the memory can be used")
	}
}
