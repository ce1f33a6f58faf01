package adapters_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

//promise:adapters.FS http.FileServerFS serves ranges, conditions and directories
func TestHTTP(t *testing.T) {
	mounttest.Leaks(t)
	dir := t.TempDir()
	content := random(100_000)
	name := put(t, dir, "f.bin", content)
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "d/index.html", []byte("index"))
	modified := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(name, modified, modified); err != nil {
		t.Fatal(err)
	}
	fsys := newFS(t, dir, snapshot.Config{})
	_, err := fsys.Open("f.bin")
	supported(t, err)
	get := serve(t, fsys)
	then, before := modified.Format(http.TimeFormat), modified.Add(-time.Hour).Format(http.TimeFormat)
	for _, x := range []struct {
		name    string
		headers []string
		status  int
		body    []byte
	}{
		{"f.bin", nil, 200, content},
		{"f.bin", []string{"Range", "bytes=4090-4100"}, 206, content[4090:4101]},
		{"f.bin", []string{"Range", "bytes=-5"}, 206, content[99_995:]},
		{"f.bin", []string{"Range", "bytes=100000-"}, 416, nil},
		{"f.bin", []string{"If-Modified-Since", then}, 304, nil},
		{"f.bin", []string{"If-Modified-Since", before}, 200, content},
		{"f.bin", []string{"Range", "bytes=0-9", "If-Range", then}, 206, content[:10]},
		{"f.bin", []string{"Range", "bytes=0-9", "If-Range", before}, 200, content},
		{"d/", nil, 200, []byte("index")},
		{"missing", nil, 404, nil},
	} {
		resp, body, err := get(x.name, x.headers...)
		if err != nil || resp.StatusCode != x.status {
			t.Fatalf("%s %v: %v, %v", x.name, x.headers, resp.Status, err)
		}
		if x.body != nil {
			same(t, body, x.body)
		}
		if x.name == "f.bin" && x.status < 300 && resp.Header.Get("Last-Modified") != then {
			t.Errorf("%v: Last-Modified %s", x.headers, resp.Header.Get("Last-Modified"))
		}
	}
	if _, body, err := get(""); err != nil || !strings.Contains(string(body), `<a href="f.bin">`) {
		t.Errorf("%q, %v", body, err)
	}
}

// TestHTTPNeverMixes replaces a file while many read parts of it: each response is a part of
// one version.
//
//promise:adapters.FS each HTTP response has bytes of one version alone
func TestHTTPNeverMixes(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		version := func(i int) []byte {
			p := make([]byte, 200_000+i%7*8)
			for k := 0; k < len(p); k += 8 {
				binary.LittleEndian.PutUint64(p[k:], uint64(i)<<32|uint64(k))
			}
			return p
		}
		put(t, dir, "f", version(0))
		fsys := newFS(t, dir, snapshot.Config{})
		_, err := fsys.Open("f")
		supported(t, err)
		get := serve(t, fsys)
		var stopped atomic.Bool
		var latest atomic.Uint64 // of a version that was served
		var wg sync.WaitGroup
		for range mounttest.Count(20, 200, 200) {
			wg.Go(func() {
				for !stopped.Load() {
					off, n := rand.IntN(20_000)*8, 8*(1+rand.IntN(4000))
					resp, p, err := get("f", "Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
					if err != nil || resp.StatusCode != 206 || len(p) != n {
						t.Errorf("%d bytes at %d: %d, %v, %v", n, off, len(p), resp, err)
						return
					}
					i := binary.LittleEndian.Uint64(p) >> 32
					want := version(int(i))
					if !bytes.Equal(p, want[off:off+n]) {
						t.Errorf("%d bytes at %d are not of version %d alone", n, off, i)
					}
					if r := fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, len(want)); resp.Header.Get("Content-Range") != r {
						t.Errorf("%s, want %s", resp.Header.Get("Content-Range"), r)
					}
					latest.Store(i) // some other one's may be newer: never mind
				}
			})
		}
		n := mounttest.Count(100, 1000, 1000)
		for i := range n {
			if err := os.Rename(put(t, dir, "next", version(i+1)), filepath.Join(dir, "f")); err != nil {
				t.Error(err)
			}
			// Else all could be over before a client has begun.
			for i%(n/10) == 0 && latest.Load() <= uint64(i) && !t.Failed() {
				time.Sleep(time.Millisecond)
			}
		}
		stopped.Store(true)
		wg.Wait()
	})
}

// TestThousandRequestsOneCopy: who may not write to the directory of a file has it copied to
// TempDir, once.
//
//promise:adapters.FS a thousand requests cost one copy, in TempDir too
func TestThousandRequestsOneCopy(t *testing.T) {
	size := mounttest.Count(65<<20, 65<<20, 1<<30) // more than is kept in memory
	dir := os.Getenv("TEST_DIR")
	if !mounttest.IsUserChild() {
		dir = mounttest.Dir(t, mounttest.Disk|mounttest.NoReflinks)
		put(t, dir, "f", bytes.Repeat(random(1<<20), size>>20))
		time.Sleep(2 * time.Second) // for so long a file of another user may have a writer
	}
	mounttest.AsUser(t, func(t *testing.T) {
		mounttest.Leaks(t)
		if f, err := os.Create(filepath.Join(dir, "x")); err == nil {
			_ = f.Close()
			t.Fatal("the directory may be written to")
		}
		temp := filepath.Join(t.TempDir(), "temp")
		var c copies
		fsys := newFS(t, dir, snapshot.Config{TempDir: temp, Progress: c.progress})
		if _, err := fsys.Open("f"); err == nil { // an error, which must not be kept
			t.Fatal("there is no TempDir")
		}
		if err := os.Mkdir(temp, 0o700); err != nil {
			t.Fatal(err)
		}
		get := serve(t, fsys)
		var wg sync.WaitGroup
		content := random(1 << 20)
		for range 50 {
			wg.Go(func() {
				for range 20 {
					off := rand.IntN(size - 1000)
					_, p, err := get("f", "Range", fmt.Sprintf("bytes=%d-%d", off, off+999))
					if err != nil || len(p) != 1000 {
						t.Errorf("%d bytes, %v", len(p), err)
						return
					}
					for i, b := range p {
						if b != content[(off+i)%len(content)] {
							t.Errorf("byte %d is wrong", off+i)
							return
						}
					}
				}
			})
		}
		wg.Wait()
		if n := c.count(); n != 1 {
			t.Errorf("%d copies", n)
		}
	}, "TEST_DIR="+dir)
}
