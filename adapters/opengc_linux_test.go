package adapters_test

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A Reader of Open and a File stay open while a method of theirs runs, though the caller has no
// other reference to them.
//
//promise:adapters.Open the garbage collector does not close a Reader while a method of it runs
//promise:adapters.OpenFile the garbage collector does not close a File while a method of it runs
func TestOpenStaysOpenInCall(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	dir := mounttest.Dir(t, mounttest.Memory)
	const size = 600_000
	name := put(t, dir, "f", random(size))
	for what, open := range map[string]func() (io.Reader, error){
		"Open":     func() (io.Reader, error) { return adapters.Open(name) },
		"OpenFile": func() (io.Reader, error) { return adapters.OpenFile(name, os.O_RDWR, 0) },
	} {
		r, err := open()
		supported(t, err)
		w := new(collector)
		if n, err := io.Copy(w, r); n != size || w.n != size || err != nil {
			t.Errorf("%s: %d bytes, %d written, %v", what, n, w.n, err)
		}
		r, err = open()
		supported(t, err)
		rest := struct{ io.Reader }{r} // without WriteTo
		w = new(collector)
		if n, err := io.Copy(w, rest); n != size || err != nil {
			t.Errorf("%s: %d bytes by Read, %v", what, n, err)
		}
	}
}

// A File or Reader that is dropped without Close gives its descriptors back, and publishes nothing.
//
//promise:adapters.Open a Reader that is dropped without Close gives its descriptors back
//promise:adapters.File.Close a File that is dropped without Close publishes nothing
func TestDropped(t *testing.T) {
	dir := t.TempDir()
	name := put(t, dir, "f", []byte("old"))
	descriptors := func() int { return len(mounttest.NamesIn(t, "/proc/self/fd")) }
	before := descriptors()
	for range 20 {
		if r, err := adapters.Open(name); err != nil || r.Size() != 3 {
			t.Fatal(err)
		}
		for _, name := range []string{name, filepath.Join(dir, "new")} {
			f, err := adapters.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
			supported(t, err)
			write(t, f, "new")
		}
	}
	for i := 0; descriptors() > before+5; i++ {
		if i == 1000 {
			t.Fatalf("%d descriptors, %d before", descriptors(), before)
		}
		runtime.GC()
		time.Sleep(time.Millisecond << min(i, 6)) // cleanups run on a goroutine of their own
	}
	mounttest.WantFile(t, name, []byte("old"))
	mounttest.WantNames(t, dir, "f")
}
