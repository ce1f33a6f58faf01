package adapters_test

import (
	"bytes"
	"io/fs"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

//promise:adapters.SameFile SameFile knows the Stat of a Reader, a File, an FS and a file of it
//promise:adapters.SameFile SameFile is os.SameFile for what package os returns, and false for nil
//promise:adapters.SameFile a Stat of a File describes the file before the Sync that replaced it
func TestSameFile(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := put(t, dir, "f", []byte("text"))
		other := info(t, put(t, dir, "other", []byte("text")))
		fsys, err := adapters.NewFS(dir, snapshot.Config{})
		supported(t, err)
		defer fsys.Close()
		inFS, err := fs.Stat(fsys, "f")
		supported(t, err)
		opened, err := fsys.Open("f")
		supported(t, err)
		defer opened.Close()
		r, f := openReader(t, name), openFile(t, name)
		defer f.Discard()
		now := info(t, name)
		kinds := map[string]fs.FileInfo{"os": info(t, name), "FS": inFS}
		for kind, x := range map[string]interface{ Stat() (fs.FileInfo, error) }{
			"Reader": r, "File": f, "a file of FS": opened,
		} {
			kinds[kind], err = x.Stat()
			supported(t, err)
		}
		for kind, x := range kinds {
			if !adapters.SameFile(x, now) || !adapters.SameFile(now, x) || adapters.SameFile(x, other) {
				t.Errorf("%s: %v, %v", kind, adapters.SameFile(x, now), adapters.SameFile(x, other))
			}
			if adapters.SameFile(x, nil) || adapters.SameFile(nil, x) {
				t.Errorf("%s: nil", kind)
			}
			if known := os.SameFile(x, now); known != (kind == "os") {
				t.Errorf("%s: os.SameFile is %v: the documentation is wrong", kind, known)
			}
		}
		write(t, f, "new")
		supported(t, f.Sync())
		was, err := f.Stat()
		supported(t, err)
		if adapters.SameFile(was, info(t, name)) || !adapters.SameFile(was, now) {
			t.Error("Stat after Sync")
		}
		up, err := snapshot.FromReaderAt(bytes.NewReader(nil), 0, "up")
		supported(t, err)
		defer up.Close()
		if none, err := up.Stat(); err != nil || adapters.SameFile(none, none) {
			t.Error("FromReaderAt is a file", err)
		}
	})
}
