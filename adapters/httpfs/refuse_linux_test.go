package httpfs_test

import (
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/adapters/httpfs"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A client does not get what is not served, nor what costs too much.
//
//promise:httpfs.Handler links out, FIFOs, NUL and invalid UTF-8 are 404
//promise:httpfs.Handler what Hide hides is 404, with what is below it, and in no listing
//promise:httpfs.Handler more than 16 ranges are 416, methods other than GET and HEAD are 405
//promise:httpfs.Handler nosniff; contents are markup only if the name says so
func TestRefusals(t *testing.T) {
	mounttest.Leaks(t)
	dir := filepath.Join(t.TempDir(), "root")
	tree(t, dir)
	fsys := newFS(t, dir, snapshot.Config{})
	get := serve(t, &httpfs.Handler{FS: fsys, Hide: func(name string) bool {
		return strings.HasPrefix(path.Base(name), ".")
	}})
	for url, status := range map[string]int{
		"/out": 404, "/dirout/secret": 404, "/dirout": 404, "/fifo": 404, "/fifo/": 404, "/a%00": 404,
		"/%ff": 404, "/.git": 404, "/.git/": 404, "/.git/config": 404, "/list/.env": 404, "/text": 200,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			resp := get(method, url)
			resp.want(t, status, nil)
			if resp.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s %s: %v", method, url, resp.Header)
			}
		}
	}
	for _, path := range []string{"/", "/list/"} {
		if body := string(get("GET", path).body); strings.Contains(body, `".`) {
			t.Errorf("%s lists %q", path, body)
		}
	}
	for path, want := range map[string]string{
		"/page.html": "text/html; charset=utf-8", "/upload": "text/plain; charset=utf-8",
		"/upload.unknown": "text/plain; charset=utf-8", "/text": "text/plain; charset=utf-8",
		"/sub/": "text/html; charset=utf-8",
	} {
		if got := get("GET", path).Header.Get("Content-Type"); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	ranges := "bytes=0-0" + strings.Repeat(",2-2", 15)
	get("GET", "/f.bin", "Range", ranges).want(t, 206, nil)
	get("GET", "/f.bin", "Range", ranges+",4-4").want(t, 416, nil)
	get("HEAD", "/f.bin", "Range", ranges+",4-4").want(t, 200, nil)
	wide := serve(t, &httpfs.Handler{FS: fsys, Ranges: -1})
	wide("GET", "/f.bin", "Range", ranges+",4-4").want(t, 206, nil)
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE"} {
		resp := get(method, "/text")
		resp.want(t, 405, nil)
		if resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %v", method, resp.Header)
		}
	}
}

// At a limit the answer is 503, and the next request is served.
//
//promise:httpfs.Handler at a limit of the FS the answer is 503 with Retry-After
func TestBusy(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	content := random(300_000)
	settled(t, dir, "f", content)
	settled(t, dir, "g", content)
	fsys := newFS(t, dir, snapshot.Config{})
	fsys.SetLimits(adapters.Limits{Held: 400_000, Wait: time.Millisecond})
	get := serve(t, &httpfs.Handler{FS: fsys})
	f, err := fsys.Open("f")
	if err != nil {
		t.Fatal(err)
	}
	resp := get("GET", "/g")
	resp.want(t, 503, []byte("Service Unavailable\n"))
	if resp.Header.Get("Retry-After") == "" || resp.Header.Get("ETag") != "" {
		t.Errorf("%v", resp.Header)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	get("GET", "/g").want(t, 200, content)
}
