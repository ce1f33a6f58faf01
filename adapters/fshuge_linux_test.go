package adapters_test

import (
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Sparse files, which cost their owner nothing, take neither all addresses nor those that small
// files need: all of them can be open and read at once.
//
//promise:adapters.FS.Open huge sparse files, all open at once, leave addresses to other files
func TestHugeFilesLeaveAddresses(t *testing.T) {
	if math.MaxInt == math.MaxInt32 {
		t.Skip("32 bits cannot map such files")
	}
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Reflinks)
	small := random(100_000)
	put(t, dir, "small", small)
	fsys := newFS(t, dir, snapshot.Config{})
	for i := range 50 {
		name := "huge" + strconv.Itoa(i)
		put(t, dir, name, []byte("text"))
		if err := os.Truncate(filepath.Join(dir, name), 1<<45); err != nil {
			t.Fatal(err)
		}
		f, err := fsys.Open(name)
		supported(t, err)
		defer f.Close()
		p := make([]byte, 4)
		for range 3 { // the second time it is in memory
			if _, err := f.(io.ReaderAt).ReadAt(p, 0); err != nil || string(p) != "text" {
				t.Fatalf("%q, %v", p, err)
			}
		}
		if _, err := io.CopyN(io.Discard, f, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	got, err := fs.ReadFile(fsys, "small")
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, small)
	m, err := snapshot.Open(filepath.Join(dir, "small"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	same(t, m.Bytes(), small)
}
