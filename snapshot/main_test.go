package snapshot_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

func TestMain(m *testing.M) { mounttest.Main(m) }

// reflinks reports whether the filesystem of dir has them.
func reflinks(dir string) bool {
	return mounttest.Has(dir, mounttest.Reflinks)
}

// noise returns n bytes that differ from seed to seed and from page to page.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = r.Read(b)
	return b
}

func write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// wantFile checks the whole contents of a file.
func wantFile(t testing.TB, name string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil {
		t.Error(err)
		return
	}
	wantBytes(t, name, got, want)
}

func wantBytes(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	t.Errorf("%s: %d bytes, want %d; they differ from byte %d on", what, len(got), len(want), at)
}

// wantNames checks that a directory holds exactly the names given.
func wantNames(t testing.TB, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if strings.Join(names, " ") != strings.Join(want, " ") { // both sorted
		t.Errorf("names in the directory: %q, want %q", names, want)
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

// closeLater closes m at the end of the test, if the test did not.
func closeLater(t testing.TB, m reader) {
	t.Cleanup(func() {
		if err := m.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// needAddresses skips the test if size bytes cannot be mapped on any 32-bit system, and this is one.
func needAddresses(t testing.TB, size int64) {
	t.Helper()
	if size > math.MaxInt {
		t.Skipf("%d bytes do not fit into the address space", size)
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

func join(dir, name string) string { return filepath.Join(dir, name) }

// wantFault checks that f touches memory that nobody may touch any more.
func wantFault(t testing.TB, f func()) {
	t.Helper()
	if !systest.Faults(f) {
		t.Error("no fault")
	}
}
