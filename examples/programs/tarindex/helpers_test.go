package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

var modified = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// archive returns a tar archive of files with these names and contents, in turn.
func archive(t *testing.T, f tar.Format, files ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		h := &tar.Header{Name: files[i], Size: int64(len(files[i+1])), Mode: 0o644, ModTime: modified, Format: f}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var few = []string{"a", "first\n", "d/b", "second\n", "c", strings.Repeat("third", 1000)}

// private returns a directory in which an index is trusted, whatever the umask.
func private(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
