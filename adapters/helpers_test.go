package adapters_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// random returns n bytes that are the same each time.
func random(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(p)
	return p
}

// same ends the test if two contents differ.
func same(tb testing.TB, got, want []byte) {
	tb.Helper()
	if mounttest.WantBytes(tb, "contents", got, want); !bytes.Equal(got, want) {
		tb.FailNow()
	}
}

// put makes a file and returns its name.
func put(tb testing.TB, dir, name string, content []byte) string {
	tb.Helper()
	name = filepath.Join(dir, name)
	if err := os.WriteFile(name, content, 0o644); err != nil {
		tb.Fatal(err)
	}
	return name
}

func openMap(tb testing.TB, name string) *snapshot.Mmap {
	tb.Helper()
	m, err := snapshot.Open(name)
	supported(tb, err)
	tb.Cleanup(func() { _ = m.Close() })
	return m
}

func openMut(tb testing.TB, name string) *snapshot.MmapMut {
	tb.Helper()
	m, err := snapshot.OpenMut(name)
	supported(tb, err)
	tb.Cleanup(func() { _ = m.Close() })
	return m
}

func openFile(tb testing.TB, name string) *adapters.File {
	tb.Helper()
	return adapters.NewFile(openMut(tb, name))
}

// openReader opens a file as os.Open does.
func openReader(tb testing.TB, name string) *adapters.Reader {
	tb.Helper()
	r, err := adapters.Open(name)
	supported(tb, err)
	tb.Cleanup(func() { _ = r.Close() })
	return r
}

// openFlag opens a file as os.OpenFile does.
func openFlag(tb testing.TB, name string, flag int) *adapters.File {
	tb.Helper()
	f, err := adapters.OpenFile(name, flag, 0o666)
	supported(tb, err)
	tb.Cleanup(func() { _ = f.Discard() })
	return f
}

// supported ends the test if err is not nil: skips it where there are no snapshots at all, which
// is everywhere but on Linux.
func supported(tb testing.TB, err error) {
	tb.Helper()
	if errors.Is(err, errors.ErrUnsupported) && runtime.GOOS != "linux" {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// meanwhile calls do with 0, 1, 2 and so on, on a goroutine of its own, until the test ends or stop
// is called. It is called once at least.
func meanwhile(tb testing.TB, do func(i int)) (stop func()) {
	var stopped atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; i == 0 || !stopped.Load(); i++ {
			do(i)
		}
	}()
	stop = func() {
		stopped.Store(true)
		<-done
	}
	tb.Cleanup(stop)
	return stop
}

// soon fails the whole run if f hangs: the test could not end.
func soon(what string, f func()) {
	stuck := time.AfterFunc(time.Minute, func() { panic(what + " hangs") })
	defer stuck.Stop()
	f()
}

// reading is what Reader, File and the files of an FS have in common.
type reading interface {
	io.ReadSeeker
	io.ReaderAt
	io.ByteScanner
	io.RuneScanner
	Size() int64
	Len() int
}

// byteReader is what Reader, File and bytes.Reader can do with bytes and runes.
type byteReader interface {
	io.ReadSeeker
	io.ByteScanner
	io.RuneScanner
	Len() int
}

type onlyWriter struct{ io.Writer }

type onlyReader struct{ io.Reader }

// sizes are around the ends of pages and of the buffers that are used.
var sizes = []int{
	0, 1, 4095, 4096, 4097, 8191, 8192, 8193, 64<<10 - 1, 64 << 10, 64<<10 + 1, 128<<10 - 1, 128 << 10, 128<<10 + 1,
}

func newFS(tb testing.TB, dir string, c snapshot.Config) *adapters.FS {
	tb.Helper()
	fsys, err := adapters.NewFS(dir, c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = fsys.Close() })
	return fsys
}

// openFS opens a file by an FS.
func openFS(t testing.TB, dir, name string) reading {
	t.Helper()
	f, err := newFS(t, dir, snapshot.Config{}).Open(name)
	supported(t, err)
	r, ok := f.(reading)
	if !ok {
		t.Fatal(errors.ErrUnsupported)
	}
	return r
}

// write writes a string to the file.
func write(t *testing.T, f io.Writer, s string) {
	t.Helper()
	if n, err := io.WriteString(f, s); n != len(s) || err != nil {
		t.Fatal(n, err)
	}
}

// ends closes a file twice and checks the errors.
func ends(t *testing.T, f io.Closer, want error) {
	t.Helper()
	if err := f.Close(); !errors.Is(err, want) || (err == nil) != (want == nil) {
		t.Errorf("Close: %v, want %v", err, want)
	}
	if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
}

// info describes the file that has a name.
func info(t *testing.T, name string) fs.FileInfo {
	t.Helper()
	fi, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return fi
}
