package httpfs_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters/httpfs"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A counted snapshot counts how it is read.
type counted struct {
	*snapshot.Mmap
	views, reads, deadlines int
}

// A dated response counts the deadlines that it gets, and is sent as without it.
type dated struct {
	http.ResponseWriter
	c *counted
}

func (d *dated) SetWriteDeadline(t time.Time) error {
	d.c.deadlines++
	return http.NewResponseController(d.ResponseWriter).SetWriteDeadline(t)
}

func (d *dated) ReadFrom(r io.Reader) (int64, error) { return io.Copy(d.ResponseWriter, r) }

func (c *counted) View(off, n int64, f func(b []byte) error) error {
	c.views++
	return c.Mmap.View(off, n, f)
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	if len(p) > 512 { // which are in one packet with the header
		c.reads++
	}
	return c.Mmap.ReadAt(p, off)
}

// open makes a snapshot of a file of a size, all of which is in memory.
func open(t *testing.T, content []byte) *counted {
	t.Helper()
	dir := mounttest.Dir(t, mounttest.Host)
	put(t, dir, "f", content)
	m, err := snapshot.Open(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	if _, err := m.ReadAt(make([]byte, len(content)), 0); err != nil {
		t.Fatal(err)
	}
	return &counted{Mmap: m}
}

// Over HTTP/1 the kernel reads the memory of the snapshot, of a range, too. Over TLS another
// goroutine may touch what a handler writes, so it is copied.
//
//promise:httpfs.Handler over HTTP/1 without TLS, the memory of the snapshot is written as it is
func TestSendDirectly(t *testing.T) {
	content := random(8 * mib)
	for what, start := range map[string]func(*httptest.Server){
		"HTTP/1": (*httptest.Server).Start,
		"TLS":    (*httptest.Server).StartTLS,
		"HTTP/2": func(s *httptest.Server) {
			s.EnableHTTP2 = true
			s.StartTLS()
		},
	} {
		c := open(t, content)
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			httpfs.Send(&dated{w, c}, r, &httpfs.Handler{}, c)
		}))
		start(server)
		for _, want := range [][2]int{{0, len(content)}, {mib + 1, 5*mib + 3}, {5, 600}} {
			c.views, c.reads, c.deadlines = 0, 0, 0
			req, err := http.NewRequest("GET", server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", want[0], want[1]-1))
			resp, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			var body bytes.Buffer
			if _, err := body.ReadFrom(resp.Body); err != nil {
				t.Error(err)
			}
			_ = resp.Body.Close()
			mounttest.WantBytes(t, what, body.Bytes(), content[want[0]:want[1]])
			least := (want[1] - want[0]) / mib
			if c.deadlines < least || c.deadlines > least+2 {
				t.Errorf("%s: %d deadlines for %d bytes", what, c.deadlines, body.Len())
			}
			// Since Go 1.27, net/http puts an io.LimitedReader between, and the data are copied.
			mayBe := what == "HTTP/1" && strings.HasPrefix(runtime.Version(), "go1.26")
			if direct := c.views >= least && c.reads == 0; direct != mayBe && least > 0 {
				t.Errorf("%s: %d bytes: %d views, %d reads", what, body.Len(), c.views, c.reads)
			}
		}
		server.Close()
	}
}

// A client may take longer for all of a response than for a part of it.
//
//promise:httpfs.Handler.ServeHTTP each MiB that is sent gets a deadline of its own
//promise:httpfs.Handler a slow client gets a file of any size; the deadline is for each MiB
func TestSlowClient(t *testing.T) {
	content := random(8 * mib)
	c := open(t, content)
	synctest.Test(t, func(t *testing.T) {
		for _, ranges := range []string{"", "bytes=0-4194303,4194304-8388607"} {
			r := httptest.NewRequest(http.MethodGet, "/f", nil)
			r.Header.Set("Range", ranges)
			w := &slowWriter{ResponseRecorder: httptest.NewRecorder(), delay: 900 * time.Millisecond}
			httpfs.Send(w, r, &httpfs.Handler{Stall: time.Second}, c)
			if got := w.Body.Bytes(); ranges == "" {
				mounttest.WantBytes(t, "contents", got, content)
			} else if len(got) < len(content) {
				t.Errorf("%d bytes of two ranges", len(got))
			}
			w = &slowWriter{ResponseRecorder: httptest.NewRecorder(), delay: 1500 * time.Millisecond}
			httpfs.Send(w, r, &httpfs.Handler{Stall: time.Second}, c)
			if w.Body.Len() > mib {
				t.Errorf("%q: %d bytes after the deadline", ranges, w.Body.Len())
			}
		}
	})
}

// A slowWriter takes the delay for each MiB that is written to it, and keeps to a deadline.
type slowWriter struct {
	*httptest.ResponseRecorder
	delay    time.Duration
	deadline time.Time
}

func (w *slowWriter) SetWriteDeadline(t time.Time) error {
	w.deadline = t
	return nil
}

func (w *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(w.delay * time.Duration(len(p)) / mib)
	if time.Now().After(w.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	return w.ResponseRecorder.Write(p)
}

// A listing has a deadline, too, also if the server has none.
//
//promise:httpfs.Handler.Stall a listing of a directory has the deadline
func TestSlowClientOfListing(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "f", nil)
	w := &slowWriter{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	(&httpfs.Handler{FS: newFS(t, dir, snapshot.Config{})}).ServeHTTP(w, r)
	if w.Code != 200 || w.Body.Len() == 0 || w.deadline.IsZero() {
		t.Errorf("%d, %q, deadline %v", w.Code, w.Body, w.deadline)
	}
}
