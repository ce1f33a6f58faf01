package httpfs_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters/httpfs"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Times of HTTP are whole seconds: two versions of a file can have the same.
//
//promise:httpfs.Handler no Last-Modified that a version of the same second can have, too
func TestSameSecond(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	get := serve(t, &httpfs.Handler{FS: newFS(t, dir, snapshot.Config{})})
	for range 3 { // the second may end between the two versions
		settled(t, dir, "f", []byte("old contents"))
		at := get("GET", "/f").Header.Get("Last-Modified")
		settled(t, dir, "f", []byte("NEW CONTENTS"))
		if at != "" {
			get("GET", "/f", "If-Modified-Since", at).want(t, 200, []byte("NEW CONTENTS"))
		}
	}
}

// A program can give a new version any time, so a time does not prove that a part fits the one before.
//
//promise:httpfs.Handler a Range with a time in If-Range or with If-Unmodified-Since is ignored
func TestPartByTime(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	get := serve(t, &httpfs.Handler{FS: newFS(t, dir, snapshot.Config{})})
	at := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	before := at.Add(-time.Second)
	for _, content := range []string{"old contents", "NEW CONTENTS"} {
		put(t, dir, "f", []byte(content))
		if err := os.Chtimes(filepath.Join(dir, "f"), at, at); err != nil {
			t.Fatal(err)
		}
		waitVersion(t, dir, "f")
		for _, field := range []string{"If-Range", "If-Unmodified-Since"} {
			resp := get("GET", "/f", "Range", "bytes=4-", field, at.Format(http.TimeFormat))
			resp.want(t, 200, []byte(content))
		}
		get("GET", "/f", "If-Unmodified-Since", before.Format(http.TimeFormat)).want(t, 412, nil)
		etag := get("HEAD", "/f").Header.Get("ETag")
		resp := get("GET", "/f", "Range", "bytes=4-", "If-Match", etag,
			"If-Unmodified-Since", before.Format(http.TimeFormat))
		resp.want(t, 206, []byte(content[4:]))
	}
}
