package adapters_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// A watched source notes how it is read.
type watched struct {
	*snapshot.Mmap
	views, reads int
}

func (w *watched) View(off, n int64, f func(b []byte) error) error {
	w.views++
	return w.Mmap.View(off, n, f)
}

func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	w.reads++
	return w.Mmap.ReadAt(p, off)
}

const coldSize = 3 << 20

// The kernel is handed memory that is known to be there; what is not is read first. Other writers
// never see the mapping.
//
//promise:adapters.Reader.WriteTo of mapped memory only pages known to be resident go to the kernel
func TestWriteToCold(t *testing.T) {
	src := &watched{Mmap: openMap(t, put(t, t.TempDir(), "f", random(coldSize)))}
	coldThenHot(t, adapters.NewReader(src), &src.views, &src.reads)
}

// So it is with the files of an FS.
//
//promise:adapters.FS an open file writes resident pages without a copy
func TestFSWriteToCold(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "f", random(coldSize))
	f, err := newFS(t, dir, snapshot.Config{}).Open("f")
	supported(t, err)
	defer f.Close()
	src := adapters.Watch(f)
	coldThenHot(t, f.(copier), &src.Views, &src.Reads)
}

// coldThenHot copies r, of which nothing has been read yet, several times, and checks how often
// its source was asked for a View and for a ReadAt.
func coldThenHot(t *testing.T, r copier, views, reads *int) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "to"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, x := range []struct {
		when         string
		w            io.Writer
		views, reads bool
	}{
		{"cold, to a file", file, false, true},
		{"hot, to a file", file, true, false},
		{"hot, to another writer", new(bytes.Buffer), false, true},
	} {
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		*views, *reads = 0, 0
		if n, err := r.WriteTo(x.w); n != coldSize || err != nil {
			t.Fatal(n, err)
		}
		if *views > 0 != x.views || *reads > 1 != x.reads { // one is needed to see the end
			t.Errorf("%s: %d views, %d reads", x.when, *views, *reads)
		}
	}
}
