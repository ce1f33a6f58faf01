package external

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// The checks that package mounttest has.
var (
	wantBytes = mounttest.WantBytes
	wantFile  = mounttest.WantFile
	wantNames = mounttest.WantNames
	namesIn   = mounttest.NamesIn
)

const (
	page     = 4096
	diskSize = 320 << 20 // the least that XFS takes, and some
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// noise returns bytes of which no two pages are equal, nor equal to those of another call.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func wantIs(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%v: is not %v", err, target)
	}
}

// write writes a file to the disk.
func write(t testing.TB, name string, data []byte) {
	t.Helper()
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	_, err = f.Write(data)
	must(t, err)
	must(t, f.Sync())
}

// cool drops a file from memory, and fails the test if something stays, as what is mapped and was
// touched does.
func cool(t testing.TB, f *os.File) {
	t.Helper()
	fd := uint(f.Fd())
	var left unix.Cachestat_t
	for i := range 100 {
		must(t, f.Sync())
		must(t, unix.Fadvise(int(fd), 0, 0, unix.FADV_DONTNEED))
		must(t, unix.Cachestat(fd, &unix.CachestatRange{}, &left, 0))
		if left.Cache == 0 {
			return
		}
		time.Sleep(time.Duration(i) * time.Millisecond) // others may be looking at the pages
	}
	t.Fatalf("%d pages stayed in memory", left.Cache)
}

// private returns the private file of the one snapshot there is of a file in dir, opened again.
func private(t testing.TB, dir string) *os.File {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, e := range entries {
		link := "/proc/self/fd/" + e.Name()
		to, _ := os.Readlink(link)
		if strings.HasPrefix(to, dir) && strings.HasSuffix(to, " (deleted)") {
			f, err := os.OpenFile(link, os.O_RDWR, 0)
			must(t, err)
			return f
		}
	}
	t.Fatal("no private file")
	return nil
}

// A reader is what Mmap and MmapMut have in common.
type reader interface {
	ReadAt(p []byte, off int64) (int, error)
	View(off, n int64, f func(b []byte) error) error
	Bytes() []byte
	Size() int64
	Name() string
	Stat() (fs.FileInfo, error)
	Prefetch(off, n int64) error
	Close() error
}

// openings are the two kinds of snapshot.
var openings = map[string]func(name string) (reader, error){
	"Mmap":    func(name string) (reader, error) { return snapshot.Open(name) },
	"MmapMut": func(name string) (reader, error) { return snapshot.OpenMut(name) },
}

// openCold opens a snapshot of which nothing is in memory.
func openCold(t testing.TB, kind, name string) reader {
	t.Helper()
	m, err := openings[kind](name)
	must(t, err)
	t.Cleanup(func() { _ = m.Close() })
	f := private(t, filepath.Dir(name))
	defer f.Close()
	cool(t, f)
	return m
}

// wantContents reads a snapshot in whole.
func wantContents(t testing.TB, m reader, want []byte) {
	t.Helper()
	got := make([]byte, m.Size())
	if _, err := m.ReadAt(got, 0); err != nil {
		t.Error(err)
	}
	wantBytes(t, m.Name(), got, want)
}

// byView copies pages, and so gets all before the one that faults.
func byView(_ *testing.T, m reader) (got []byte, n int64, err error) {
	err = m.View(0, -1, func(b []byte) error {
		for ; len(b) > 0; b = b[page:] {
			got = append(got, b[:page]...)
		}
		return nil
	})
	return got, int64(len(got)), err
}

// commits are the ways to publish what was stored.
var commits = map[string]func(m *snapshot.MmapMut) error{
	"Commit":         (*snapshot.MmapMut).Commit,
	"CommitAndClose": (*snapshot.MmapMut).CommitAndClose,
	"CommitTo":       func(m *snapshot.MmapMut) error { return m.CommitTo(m.Name() + "2") },
	"Link":           func(m *snapshot.MmapMut) error { return m.Link(m.Name() + "2") },
}

// generation is what a file holds after commit g: its number, over and over.
func generation(g uint64) []byte {
	return bytes.Repeat(binary.LittleEndian.AppendUint64(nil, g), int(100+g*37%5000))
}
