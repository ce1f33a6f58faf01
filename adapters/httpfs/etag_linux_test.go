package httpfs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters/httpfs"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// An answer that has no contents takes no copy.
//
//promise:httpfs.Handler HEAD ignores Range
//promise:httpfs.Handler HEAD and answers of 304, 412 and 416 take no snapshot
func TestNoContentsNoCopy(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	content := random(300_000)
	put(t, dir, "f", content)
	old := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "f"), old, old); err != nil {
		t.Fatal(err)
	}
	waitVersion(t, dir, "f")
	copies := 0
	fsys := newFS(t, dir, snapshot.Config{Progress: func(int64, int64) { copies++ }})
	get := serve(t, &httpfs.Handler{FS: fsys})
	head := get("HEAD", "/f")
	head.want(t, 200, nil)
	etag := head.Header.Get("ETag")
	if head.ContentLength != int64(len(content)) || !strings.HasPrefix(etag, `"`) {
		t.Errorf("HEAD: %v", head.Header)
	}
	// Of a file without a type, net/http would tell another length than for GET.
	several := get("HEAD", "/f", "Range", "bytes=0-0,2-2")
	several.want(t, 200, nil)
	if several.ContentLength != int64(len(content)) {
		t.Errorf("HEAD of two ranges: %v", several.Header)
	}
	for _, x := range []struct {
		status  int
		headers []string
	}{
		{304, []string{"If-None-Match", etag}},
		{304, []string{"If-Modified-Since", head.Header.Get("Last-Modified")}},
		{412, []string{"If-Match", `"other"`}},
		{416, []string{"Range", "bytes=300000-"}},
	} {
		resp := get("GET", "/f", x.headers...)
		resp.want(t, x.status, nil)
		if got := resp.Header.Get("ETag"); x.status == 304 && got != etag {
			t.Errorf("%q: ETag %s", x.headers, got)
		}
	}
	get("GET", "/").want(t, 200, nil)
	if copies != 0 {
		t.Errorf("%d parts of copies were made", copies)
	}
	resp := get("GET", "/f")
	resp.want(t, 200, content)
	if copies == 0 || resp.Header.Get("ETag") != etag {
		t.Errorf("%d copies, %v", copies, resp.Header)
	}
}

// A client that has a part of a file that was replaced gets the new one, whole, also if it has the
// same size and the same time of modification.
//
//promise:httpfs.Handler the ETag is strong, and other contents have another
func TestETag(t *testing.T) {
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		get := serve(t, &httpfs.Handler{FS: newFS(t, dir, snapshot.Config{})})
		version := func(content string) string {
			put(t, dir, "next", []byte(content))
			next, at := filepath.Join(dir, "next"), time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
			if err := os.Chtimes(next, at, at); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(next, filepath.Join(dir, "f")); err != nil {
				t.Fatal(err)
			}
			waitVersion(t, dir, "f")
			return get("HEAD", "/f").Header.Get("ETag")
		}
		old := version("old contents")
		get("GET", "/f", "Range", "bytes=4-", "If-Range", old).want(t, 206, []byte("contents"))
		get("GET", "/f", "If-None-Match", old).want(t, 304, nil)
		if version("NEW CONTENTS") == old {
			t.Errorf("two contents have the ETag %s", old)
		}
		get("GET", "/f", "Range", "bytes=4-", "If-Range", old).want(t, 200, []byte("NEW CONTENTS"))
		get("GET", "/f", "If-None-Match", old).want(t, 200, []byte("NEW CONTENTS"))
		get("GET", "/f", "Range", "bytes=4-", "If-Match", old).want(t, 412, nil)
	})
}

// A file that can change again without a sign in its times has neither ETag nor Last-Modified.
//
//promise:httpfs.Handler no ETag and no Last-Modified while the file has no Version
func TestNoETag(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Fresh(t, mounttest.WholeSeconds, 16<<20)
	get := serve(t, &httpfs.Handler{FS: newFS(t, dir, snapshot.Config{})})
	put(t, dir, "f", []byte("contents"))
	resp := get("GET", "/f")
	resp.want(t, 200, []byte("contents"))
	if resp.Header.Get("ETag") == "" && resp.Header.Get("Last-Modified") != "" {
		t.Errorf("%v", resp.Header)
	}
	waitVersion(t, dir, "f")
	resp = get("GET", "/f")
	if resp.Header.Get("ETag") == "" {
		t.Errorf("%v", resp.Header)
	}
}

// The ETag is that of what is sent, not of what was there when the request came. A process that holds
// a lease on the file changes its times in between.
//
//promise:httpfs.Handler the ETag is made from the snapshot that is sent
func TestETagOfSnapshot(t *testing.T) {
	mounttest.EachOf(t, mounttest.Leases, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		content := random(200_000)
		settled(t, dir, "f", content)
		get := serve(t, &httpfs.Handler{FS: newFS(t, dir, snapshot.Config{})})
		name := filepath.Join(dir, "f")
		mounttest.HoldLease(t, name, func(giveUp, _ func()) {
			if err := os.Chmod(name, 0o600); err != nil { // which breaks no lease
				t.Error(err)
			}
			giveUp()
		})
		resp := get("GET", "/f")
		resp.want(t, 200, content)
		if tag := resp.Header.Get("ETag"); tag != "" {
			t.Errorf("the ETag is %s", tag)
		}
	})
}
