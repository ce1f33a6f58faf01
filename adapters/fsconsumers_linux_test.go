package adapters_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// TestFSConsumers gives an FS to what takes one.
//
//promise:adapters.FS template.ParseFS, fs.WalkDir, fs.Glob and AddFS of zip and tar accept it
func TestFSConsumers(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.tmpl", []byte("hello {{.}}"))
	put(t, dir, "b.txt", random(5000))
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "d/c.txt", random(100_000))
	fsys := newFS(t, dir, snapshot.Config{})
	_, err := fsys.Open("b.txt")
	supported(t, err)

	tmpl, err := template.ParseFS(fsys, "*.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := tmpl.Execute(&text, "you"); err != nil || text.String() != "hello you" {
		t.Errorf("%q, %v", text.String(), err)
	}

	var walked []string
	if err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		walked = append(walked, path)
		return err
	}); err != nil || !slices.Equal(walked, []string{".", "a.tmpl", "b.txt", "d", "d/c.txt"}) {
		t.Error(walked, err)
	}
	if found, err := fs.Glob(fsys, "*/*.txt"); err != nil || !slices.Equal(found, []string{"d/c.txt"}) {
		t.Error(found, err)
	}

	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	if err := z.AddFS(fsys); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(archive.Bytes()), int64(archive.Len()))
	if err != nil {
		t.Fatal(err)
	}
	got, err := fs.ReadFile(r, "d/c.txt")
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, random(100_000))

	archive.Reset()
	w := tar.NewWriter(&archive)
	if err := w.AddFS(fsys); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	walked = nil
	for a := tar.NewReader(&archive); ; {
		h, err := a.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		walked = append(walked, h.Name)
		if h.Name == "d/c.txt" {
			got, err := io.ReadAll(a)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, random(100_000))
		}
	}
	if !slices.Equal(walked, []string{"a.tmpl", "b.txt", "d/", "d/c.txt"}) {
		t.Error(walked)
	}
}

// TestServeContent serves one file of an FS, and a snapshot without an FS.
//
//promise:adapters.Reader http.ServeContent serves a Reader
//promise:adapters.FS http.ServeFileFS serves a file
func TestServeContent(t *testing.T) {
	dir := t.TempDir()
	content := random(10_000)
	name := put(t, dir, "f.bin", content)
	fsys, m := newFS(t, dir, snapshot.Config{}), openMap(t, name)
	info, err := m.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for what, serve := range map[string]http.HandlerFunc{
		"ServeFileFS": func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, fsys, "f.bin") },
		"ServeContent": func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "f.bin", info.ModTime(), adapters.NewReader(m))
		},
	} {
		r := httptest.NewRequest("GET", "/f.bin", nil)
		r.Header.Set("Range", "bytes=4090-8199")
		w := httptest.NewRecorder()
		serve(w, r)
		if w.Code != http.StatusPartialContent || w.Header().Get("Last-Modified") != info.ModTime().UTC().Format(http.TimeFormat) {
			t.Errorf("%s: %d, %v", what, w.Code, w.Header())
		}
		same(t, w.Body.Bytes(), content[4090:8200])
	}
}
