package adapters_test

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

const mib = 1 << 20

// contents returns what a file of a tree holds.
func contents(tb testing.TB, fsys fs.FS, name string) []byte {
	tb.Helper()
	p, err := fs.ReadFile(fsys, name)
	supported(tb, err)
	return p
}

// copies counts the copies that are made of files without holes, by Config.Progress: each
// says twice that it is done, but those of small files once.
type copies struct{ done atomic.Int64 }

func (c *copies) progress(done, total int64) {
	switch {
	case done == total && total <= 128<<10:
		c.done.Add(2)
	case done == total:
		c.done.Add(1)
	}
}

func (c *copies) count() int64 { return (c.done.Load() + 1) / 2 }

// settled makes a file whose last change is long enough ago for its snapshots to be shared.
func settled(tb testing.TB, dir, name string, content []byte) {
	tb.Helper()
	waitSettled(tb, put(tb, dir, name, content))
}

func waitFor(tb testing.TB, done func() bool) {
	tb.Helper()
	for range 6000 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	tb.Error("it did not happen")
}

func waitSettled(tb testing.TB, file string) {
	tb.Helper()
	fd, err := syscalls.OpenPath(syscalls.AtFdcwd, file)
	if err != nil {
		tb.Fatal(err)
	}
	defer syscalls.Close(fd)
	for !isSettled(tb, fd) {
		time.Sleep(time.Millisecond)
	}
}

// isSettled reports whether a snapshot of a file that is made now is shared with those who open
// the file later.
func isSettled(tb testing.TB, fd int) bool {
	tb.Helper()
	now, err := syscalls.CoarseNow()
	if err != nil {
		tb.Fatal(err)
	}
	st, err := syscalls.Fstat(fd)
	if err != nil {
		tb.Fatal(err)
	}
	return adapters.IsSettled(st, now)
}

// A collector runs the garbage collector, and cleanups, in each Write.
type collector struct{ n int64 }

func (c *collector) Write(p []byte) (int, error) {
	for range 3 {
		runtime.GC()
		time.Sleep(time.Millisecond) // cleanups run on a goroutine of their own
	}
	c.n += int64(len(p))
	return len(p), nil
}

// mustOpen opens a file of an FS until the test ends.
func mustOpen(t *testing.T, fsys fs.FS, name string) fs.File {
	t.Helper()
	f, err := fsys.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// serve serves an FS and returns a function that gets a name with headers.
func serve(tb testing.TB, fsys *adapters.FS) func(name string, headers ...string) (*http.Response, []byte, error) {
	server := httptest.NewServer(http.FileServerFS(fsys))
	tb.Cleanup(server.Close)
	client := server.Client()
	client.Transport.(*http.Transport).MaxIdleConnsPerHost = 200
	return func(name string, headers ...string) (*http.Response, []byte, error) {
		req, err := http.NewRequest("GET", server.URL+"/"+name, nil)
		if err != nil {
			return nil, nil, err
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, nil, err
		}
		defer resp.Body.Close()
		p, err := io.ReadAll(resp.Body)
		return resp, p, err
	}
}

// wantLimit checks that a file is not opened, because of a limit of that name.
func wantLimit(t *testing.T, fsys fs.FS, name, limit string) {
	t.Helper()
	f, err := fsys.Open(name)
	if err == nil {
		_ = f.Close()
	}
	if !errors.Is(err, adapters.ErrLimit) || !strings.Contains(err.Error(), "limit reached: "+limit) {
		t.Errorf("%s: %v, want %s", name, err, limit)
	}
}
