package snapshot_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func join(dir, name string) string { return filepath.Join(dir, name) }

// noise returns n bytes that differ from seed to seed and from page to page.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = r.Read(b)
	return b
}

// mix is the finalizer of SplitMix64, over several numbers.
func mix(numbers ...uint64) (h uint64) {
	for _, n := range numbers {
		h += n + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

// noiseOf fills p with what belongs to h.
func noiseOf(p []byte, h uint64) {
	for i := 0; i < len(p); i += 8 {
		h += 0x9e3779b97f4a7c15
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], (h^h>>29)*0xbf58476d1ce4e5b9)
		copy(p[i:], word[:])
	}
}

// wantError checks that err is target, is of type *fs.PathError, and reads as it should.
func wantError(t testing.TB, err, target error, text string) {
	t.Helper()
	var pathErr *fs.PathError
	switch {
	case err == nil:
		t.Errorf("no error, want %q", text)
	case !errors.Is(err, target):
		t.Errorf("%v: is not %v", err, target)
	case !errors.As(err, &pathErr):
		t.Errorf("%v: is a %T", err, err)
	case err.Error() != text:
		t.Errorf("the error reads %q, want %q", err, text)
	}
}

// wantFault checks that f accesses memory that is no longer accessible.
func wantFault(t testing.TB, f func()) {
	t.Helper()
	if !systest.Faults(f) {
		t.Error("no fault")
	}
}

// patience is when something that should not wait is taken to wait for ever.
const patience = time.Minute

// inTime fails the test if f does not return. It must not call t.FailNow.
func inTime(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s waits", what)
	}
}

// needAddresses skips the test if size bytes cannot be mapped on any 32-bit system, and this is
// one.
func needAddresses(t testing.TB, size int64) {
	t.Helper()
	if size > math.MaxInt {
		t.Skipf("%d bytes do not fit into the address space", size)
	}
}

// A reader is what Mmap and MmapMut have in common.
type reader interface {
	ReadAt(p []byte, off int64) (int, error)
	View(off, n int64, f func(b []byte) error) error
	Bytes() []byte
	Size() int64
	Name() string
	Stat() (fs.FileInfo, error)
	Method() snapshot.Method
	Prefetch(off, n int64) error
	Close() error
}

// viewed reads by View.
type viewed struct{ reader }

func (v viewed) ReadAt(p []byte, off int64) (n int, err error) {
	err = v.View(off, int64(len(p)), func(b []byte) error {
		n = copy(p, b)
		return nil
	})
	return n, err
}

func open(t testing.TB, name string) *snapshot.Mmap {
	t.Helper()
	m, err := snapshot.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, m)
	return m
}

func openMut(t testing.TB, name string) *snapshot.MmapMut {
	t.Helper()
	m, err := snapshot.OpenMut(name)
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, m)
	return m
}

func create(t testing.TB, name string) *snapshot.MmapMut {
	t.Helper()
	m, err := snapshot.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, m)
	return m
}

func fromFile(t testing.TB, f *os.File) *snapshot.Mmap {
	t.Helper()
	m, err := snapshot.FromFile(f)
	must(t, err)
	closeLater(t, m)
	return m
}

// closeLater closes m at the end of the test, if the test did not.
func closeLater(t testing.TB, m reader) {
	t.Cleanup(func() {
		if err := m.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
	})
}

// wantContents checks what a snapshot holds, by each way of reading it.
func wantContents(t testing.TB, m reader, want []byte) {
	t.Helper()
	if m.Size() != int64(len(want)) {
		t.Errorf("Size is %d, want %d", m.Size(), len(want))
		return
	}
	got := make([]byte, len(want))
	if n, err := m.ReadAt(got, 0); err != nil {
		t.Errorf("ReadAt: %d, %v", n, err)
	}
	wantBytes(t, "ReadAt", got, want)
	err := m.View(0, -1, func(b []byte) error {
		if len(b) != cap(b) {
			t.Errorf("View: len %d, cap %d", len(b), cap(b))
		}
		wantBytes(t, "View", b, want)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if b := m.Bytes(); len(b) != cap(b) {
		t.Errorf("Bytes: len %d, cap %d", len(b), cap(b))
	}
	wantBytes(t, "Bytes", m.Bytes(), want)
}

// byReadAt returns all, read by ReadAt alone.
func byReadAt(t *testing.T, m *snapshot.MmapMut) []byte {
	t.Helper()
	p := make([]byte, m.Size())
	_, err := m.ReadAt(p, 0)
	must(t, err)
	return p
}

// during returns a Config that calls f once, in the middle of a copy.
func during(f func()) snapshot.Config {
	var once sync.Once
	return snapshot.Config{Progress: func(done, total int64) { once.Do(f) }}
}

// privateFiles has small files not read into Go memory until the test ends, so that every snapshot
// has a private file.
func privateFiles(t testing.TB) {
	t.Helper()
	old := privatefile.SmallSize
	privatefile.SmallSize = -1
	t.Cleanup(func() { privatefile.SmallSize = old })
}

// smallAndPrivate runs f twice: with small files read into Go memory, and with private files
// alone.
func smallAndPrivate(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Run("small", f)
	t.Run("private", func(t *testing.T) {
		privateFiles(t)
		f(t)
	})
}

// read opens a file with c, by name or by descriptor, and checks what is in it.
func read(c snapshot.Config, f *os.File, name string, want []byte) (snapshot.Method, error) {
	open := func() (*snapshot.Mmap, error) { return c.Open(context.Background(), name) }
	if f != nil {
		open = func() (*snapshot.Mmap, error) { return c.FromFile(context.Background(), f) }
	}
	m, err := open()
	if err != nil {
		return 0, err
	}
	defer m.Close()
	got := make([]byte, m.Size())
	if _, err := m.ReadAt(got, 0); err != nil {
		return 0, err
	}
	if string(got) != string(want) {
		return 0, fmt.Errorf("%s holds something else", name)
	}
	return m.Method(), nil
}

// withoutProc runs f on a thread that sees no /proc.
func withoutProc(t *testing.T, f func() error) {
	t.Helper()
	mounttest.OnThread(t, func() error {
		if err := mounttest.HideProc(); err != nil {
			return err
		}
		return f()
	})
}

// tmpfiles makes the first n calls that make an unnamed file fail.
func tmpfiles(t *testing.T, n int, errno syscall.Errno) (undo func()) {
	t.Helper()
	return systest.Intercept(t, func(call string) error {
		if call == "tmpfile excl" || call == "tmpfile excl at" || call == "tmpfile" {
			if n--; n >= 0 {
				return errno
			}
		}
		return nil
	})
}

// faulty returns 64 KiB of memory of which a page faults, that at good. A copy of it may begin with its
// end.
func faulty(t *testing.T, good int) []byte {
	t.Helper()
	p, err := syscall.Mmap(-1, 0, 64<<10, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	must(t, err)
	t.Cleanup(func() { must(t, syscall.Munmap(p)) })
	copy(p, noise(7, len(p)))
	must(t, syscall.Mprotect(p[good:good+os.Getpagesize()], syscall.PROT_NONE))
	return p
}
