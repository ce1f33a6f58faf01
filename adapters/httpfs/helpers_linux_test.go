package httpfs_test

import (
	"bytes"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

const mib = 1 << 20

// random returns n bytes that are the same each time.
func random(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(p)
	return p
}

// put makes a file in a directory, and the directory.
func put(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// settled makes a file, and waits until its times prove its contents.
func settled(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	put(t, dir, name, content)
	waitVersion(t, dir, name)
}

func waitVersion(t *testing.T, dir, name string) {
	t.Helper()
	fsys := newFS(t, dir, snapshot.Config{})
	defer fsys.Close()
	for range 6000 {
		info, err := fsys.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.(interface{ Version() string }).Version() != "" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s has no version", name)
}

func newFS(t *testing.T, dir string, c snapshot.Config) *adapters.FS {
	t.Helper()
	fsys, err := adapters.NewFS(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fsys.Close() })
	return fsys
}

// A response is one that was read to its end.
type response struct {
	*http.Response
	body []byte
}

// serve serves a handler and returns a function that makes a request with headers.
func serve(t *testing.T, h http.Handler) func(method, path string, headers ...string) response {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	client := server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return func(method, path string, headers ...string) response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		return response{resp, body}
	}
}

// want checks the status and the body of a response.
func (r response) want(t *testing.T, status int, body []byte) {
	t.Helper()
	if r.StatusCode != status || body != nil && !bytes.Equal(r.body, body) {
		t.Errorf("%s %s: %s, %.80q", r.Request.Method, r.Request.URL, r.Status, r.body)
	}
}

// tree makes files of all kinds, some of which are not served.
func tree(t *testing.T, dir string) {
	t.Helper()
	put(t, dir, "../secret", []byte("secret"))
	for name, content := range map[string]string{
		"f.bin": string(random(100_000)), "page.html": "<script>", "upload": "<html><script>",
		"upload.unknown": "<?xml", "text": "plain", "empty": "", "sub/index.html": "index",
		"sub/f.txt": "in sub", "list/a": "a", "list/b c?": "b", ".git/config": "hidden",
		"list/.env": "hidden", "indexdir/index.html/f.txt": "f",
	} {
		put(t, dir, name, []byte(content))
	}
	for link, target := range map[string]string{
		"link": "f.bin", "out": "../secret", "dirout": "..", "dangling": "none", "dirlink": "list",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	old := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	last := ""
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		if d.Type().IsRegular() {
			last = name
		}
		return os.Chtimes(name, old, old)
	})
	if err != nil {
		t.Fatal(err)
	}
	waitVersion(t, filepath.Dir(last), filepath.Base(last))
}
