package adapters_test

import (
	"io"
	"io/fs"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A file of an FS stays open while a method of it runs, though the caller has no other reference to
// it.
//
//promise:adapters.FS.Open the garbage collector does not close a file while a method of it runs
func TestFileStaysOpenInCall(t *testing.T) {
	dir := mounttest.Dir(t, mounttest.Memory)
	const size = 600_000
	put(t, dir, "f", random(size))
	for what, call := range map[string]func(f fs.File) (int64, error){
		"io.Copy": func(f fs.File) (int64, error) {
			w := new(collector)
			n, err := io.Copy(w, f)
			return min(n, w.n), err
		},
		"io.Copy of the rest": func(f fs.File) (int64, error) {
			n, err := io.ReadFull(f, make([]byte, 1000))
			if err != nil {
				return 0, err
			}
			m, err := io.Copy(new(collector), f)
			return int64(n) + m, err
		},
	} {
		fsys := newFS(t, dir, snapshot.Config{})
		f, err := fsys.Open("f")
		supported(t, err)
		n, err := call(f)
		if n != size || err != nil {
			t.Errorf("%s: %d bytes, %v", what, n, err)
		}
	}
}
