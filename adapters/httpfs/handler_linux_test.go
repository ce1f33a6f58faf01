package httpfs_test

import (
	"bytes"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters/httpfs"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A Handler answers what http.FileServerFS answers over os.DirFS, apart from the differences that its
// comment lists.
//
//promise:httpfs.Handler it answers as http.FileServerFS does: files, listings, redirects, ranges
//promise:httpfs.Handler.ServeHTTP it answers as http.FileServerFS does
func TestLikeFileServerFS(t *testing.T) {
	mounttest.Leaks(t)
	dir := filepath.Join(t.TempDir(), "root")
	tree(t, dir)
	ours := serve(t, &httpfs.Handler{FS: newFS(t, dir, snapshot.Config{})})
	theirs := serve(t, http.FileServerFS(os.DirFS(dir)))
	const then, before = "Thu, 02 Jan 2020 03:04:05 GMT", "Thu, 02 Jan 2020 03:04:04 GMT"
	headers := [][]string{
		nil, {"Range", "bytes=4090-4100"}, {"Range", "bytes=-5"}, {"Range", "bytes=99990-"},
		{"Range", "bytes=100000-"}, {"Range", "bytes=x"}, {"Range", "bytes=0-1,"},
		{"If-Modified-Since", then}, {"If-Modified-Since", before}, {"If-Unmodified-Since", before},
		{"If-None-Match", "*"}, {"If-None-Match", `"other"`}, {"If-Match", `"other"`}, {"If-Match", "*"},
		{"Range", "bytes=0-9", "If-Range", before},
		{"Range", "bytes=0-9", "If-Range", `"other"`},
	}
	for _, path := range []string{
		"/", "/f.bin", "/f.bin/", "/link", "/page.html", "/text", "/empty", "/sub", "/sub/", "/sub?q=1",
		"/sub/index.html", "/sub/f.txt", "/list", "/list/", "/dirlink/", "/dirlink/a", "/list/b%20c%3f",
		"/none", "/none/", "/f.bin/none", "/dangling", "//f.bin", "/sub/../f.bin", "/%2e%2e/secret",
		"/sub//f.txt", "/list/./a", "/indexdir/index.html/f.txt", "/indexdir/index.html/",
	} {
		for _, method := range []string{"GET", "HEAD"} {
			for _, h := range headers {
				got := ours(method, path, h...)
				if method == "HEAD" && len(h) > 0 && h[0] == "Range" {
					h = nil
				}
				got.like(t, theirs(method, path, h...))
			}
		}
	}
	multi := []string{"Range", "bytes=0-9,50-59"}
	got, want := ours("GET", "/f.bin", multi...), theirs("GET", "/f.bin", multi...)
	if got.StatusCode != 206 || len(got.body) != len(want.body) {
		t.Errorf("two ranges: %s, %d bytes, want %d", got.Status, len(got.body), len(want.body))
	}
}

// like checks that two responses are alike. A response of 304 with an ETag has no Last-Modified, and
// one to HEAD has no Content-Type that only the contents tell.
func (r response) like(t *testing.T, want response) {
	t.Helper()
	about := r.Request.Method + " " + r.Request.URL.Path
	if r.StatusCode != want.StatusCode {
		t.Errorf("%s: %v: %s, want %s", about, r.Request.Header, r.Status, want.Status)
		return
	}
	if want.StatusCode >= 400 {
		return
	}
	if !bytes.Equal(r.body, want.body) {
		t.Errorf("%s: %v: %.80q, want %.80q", about, r.Request.Header, r.body, want.body)
	}
	for _, field := range []string{
		"Content-Type", "Content-Length", "Content-Range", "Location", "Last-Modified", "Accept-Ranges",
	} {
		switch got := r.Header.Get(field); {
		case field == "Last-Modified" && r.StatusCode == 304:
		case field == "Content-Type" && r.Request.Method == "HEAD" && got == "" &&
			mime.TypeByExtension(filepath.Ext(r.Request.URL.Path)) == "":
		case got != want.Header.Get(field):
			t.Errorf("%s: %v: %s: %q, want %q", about, r.Request.Header, field, got, want.Header.Get(field))
		}
	}
}
