package httpfs

import (
	"io"
	"io/fs"
	"path"
	"slices"
)

// A tree is what http.FileServerFS sees of one file or directory, for a redirect or a listing: a
// directory without what is hidden and without an index.html, and no contents of files.
type tree struct {
	h    *Handler
	name string
	info fs.FileInfo
}

func (t *tree) Open(name string) (fs.File, error) {
	switch {
	case name != t.name:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case !t.info.IsDir():
		return described{t.info}, nil
	}
	f, err := t.h.FS.Open(name)
	if err != nil {
		return nil, err
	}
	dir, ok := f.(fs.ReadDirFile)
	if !ok { // replaced by a file just now
		_ = f.Close()
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return directory{dir, t.h, name}, nil
}

// A described file has no contents.
type described struct{ info fs.FileInfo }

func (d described) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d described) Read([]byte) (int, error)   { return 0, io.EOF }
func (d described) Close() error               { return nil }

// A directory has no hidden entries.
type directory struct {
	fs.ReadDirFile
	h    *Handler
	name string
}

func (d directory) ReadDir(n int) ([]fs.DirEntry, error) {
	entries, err := d.ReadDirFile.ReadDir(n)
	if d.h.Hide != nil {
		entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
			return d.h.Hide(path.Join(d.name, e.Name()))
		})
	}
	return entries, err
}
