package adapters_test

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// A name that leads to nothing that an FS serves is not found, and http.FileServerFS says 404.
//
//promise:adapters.FS links out, irregular files, NUL and invalid UTF-8 are fs.ErrNotExist
//promise:adapters.FS for these, http.FileServerFS answers 404
func TestFSNotServed(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "root/sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "secret", []byte("secret"))
	put(t, dir, "root/\xff", []byte("bytes"))
	for link, target := range map[string]string{"out": "../secret", "dirout": "..", "absolute": dir} {
		if err := os.Symlink(target, filepath.Join(dir, "root", link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "root/fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	fsys := newFS(t, filepath.Join(dir, "root"), snapshot.Config{})
	get := serve(t, fsys)
	for name, url := range map[string]string{
		"out": "out", "dirout/secret": "dirout/secret", "absolute/secret": "absolute/secret",
		"fifo": "fifo", "a\x00b": "a%00b", "sub\x00": "sub%00", "\xff": "%ff", "sub/\xc3\x28": "sub/%c3%28",
		"none": "none",
	} {
		for op, do := range map[string]func() error{
			"Open": func() error { _, err := fsys.Open(name); return err },
			"ReadFile": func() error {
				_, err := fsys.ReadFile(name)
				return err
			},
			"Stat": func() error { _, err := fsys.Stat(name); return err },
		} {
			err := do()
			if op == "Stat" && name == "fifo" && err == nil {
				continue
			}
			var e *fs.PathError
			if !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &e) || e.Path != name {
				t.Errorf("%s %q: %v", op, name, err)
			}
		}
		resp, _, err := get(url)
		if err != nil || resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %v, %v", url, resp.Status, err)
		}
	}
	if _, err := fsys.Open("fifo"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a FIFO: %v", err)
	}
}
