package external

import (
	"bytes"
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

func TestMain(m *testing.M) { fusetest.Main(m) }

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

// namesIn lists a directory.
func namesIn(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// wantNames checks what names there are in a directory, and no others.
func wantNames(t testing.TB, dir string, want ...string) {
	t.Helper()
	if names := namesIn(t, dir); !slices.Equal(names, want) {
		t.Errorf("names in the directory: %v, want %v", names, want)
	}
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
