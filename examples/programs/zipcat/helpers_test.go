package main

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"testing"
	"time"
)

type member struct {
	name, content string
	mode          fs.FileMode
}

var modified = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// archive returns a zip archive of the members, stored or deflated.
func archive(t *testing.T, method uint16, members ...member) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: method, Modified: modified}
		h.SetMode(m.mode | 0o644)
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(m.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var few = []member{{"a.txt", "first\n", 0}, {"d/b.txt", "second\n", 0}, {"d/e/c.txt", "third\n", 0}}
