package main

import (
	"fmt"
	"io/fs"
	"net/http"
)

// tagged serves fsys, each file with an ETag, by which a client that comes back for more of a file
// learns whether it is still the same. By the modification time alone, of which HTTP has whole
// seconds, it would take one that was replaced within a second for the one that it knows. Two of the
// same size and the same nanosecond have the same tag.
func tagged(fsys fs.FS) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.FileServerFS(tagging{fsys, w.Header()}).ServeHTTP(w, r)
	})
}

// A tagging is the filesystem as one response sees it.
type tagging struct {
	fs.FS
	header http.Header
}

// Open adds the tag of the very snapshot that is going to be sent.
func (t tagging) Open(name string) (fs.File, error) {
	f, err := t.FS.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		t.header.Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	}
	return f, nil
}
