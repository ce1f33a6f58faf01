package defrag

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A testFile is a file of which every page can become an extent of its own.
type testFile struct {
	t    *testing.T
	f    *os.File
	dir  *os.File
	data []byte
}

// newFile makes a file of size bytes that is contiguous.
func newFile(t *testing.T, dir string, size int) *testFile {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	file := &testFile{t, f, d, bytes.Repeat([]byte("contents"), size/8)}
	if _, err := f.Write(file.data); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	return file
}

// fragment clones the file and stores to every other page, as commits and stores do in turns.
func (f *testFile) fragment() {
	f.t.Helper()
	clone, err := os.Create(f.f.Name() + ".clone")
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { clone.Close() })
	if err := sys.Ficlone(int(clone.Fd()), int(f.f.Fd())); err != nil {
		f.t.Fatal(err)
	}
	for off := 0; off < len(f.data); off += 8192 {
		copy(f.data[off:], "stored to")
		if _, err := f.f.WriteAt(f.data[off:off+4096], int64(off)); err != nil {
			f.t.Fatal(err)
		}
	}
	if err := f.f.Sync(); err != nil {
		f.t.Fatal(err)
	}
}

func (f *testFile) extents() int {
	f.t.Helper()
	n, err := sys.CountExtents(int(f.f.Fd()), 0, int64(len(f.data)))
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// Join makes a range contiguous, and contents and inode stay as they are.
func TestJoin(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		const size = 2 << 20
		file := newFile(t, dir, size)
		file.fragment()
		before := file.extents()
		if before < size/8192 {
			t.Fatalf("%d extents: nothing is tested", before)
		}
		inode, err := file.f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		o := privatefile.Options{}
		if err := join(o, int(file.f.Fd()), int(file.dir.Fd()), size/2, size/2); err != nil {
			t.Fatal(err)
		}
		half := file.extents()
		if half >= before*2/3 || half < before/3 {
			t.Errorf("%d extents, and %d once half of the file was joined", before, half)
		}
		if err := join(o, int(file.f.Fd()), int(file.dir.Fd()), 0, size); err != nil {
			t.Fatal(err)
		}
		if n := file.extents(); n > fewExtents {
			t.Errorf("%d extents, and %d once all of the file was joined", before, n)
		}
		mounttest.WantFile(t, file.f.Name(), file.data)
		if now, err := os.Stat(file.f.Name()); err != nil || !os.SameFile(inode, now) {
			t.Errorf("another file: %v", err)
		}
	})
}

// Run joins windows as soon as clones have cost as much as that does; before that, and for a file
// that is not cloned, it changes nothing.
func TestRun(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		const size = 2 * window
		file := newFile(t, dir, size)
		calls := systest.CountCalls(t)
		run := func(s *State) (joined bool) {
			before := calls("fideduperange")
			s.Run(context.Background(), privatefile.Options{}, int(file.f.Fd()), int(file.dir.Fd()), size)
			return calls("fideduperange") > before
		}
		s := State{Cloned: true}
		if run(&s) {
			t.Error("a contiguous file was joined")
		}
		file.fragment()
		fragmented := file.extents()
		if fragmented < windowCost {
			t.Fatalf("%d extents: nothing is tested", fragmented)
		}
		if run(&State{fewest: 1}) {
			t.Error("a file that is not cloned was joined")
		}
		if run(&State{Cloned: true}) {
			t.Error("a file was joined that never was better")
		}
		if !run(&s) {
			t.Error("nothing was joined")
		}
		if n := file.extents(); n >= fragmented/2+fewExtents*2 {
			t.Errorf("%d extents of %d", n, fragmented)
		}
		mounttest.WantFile(t, file.f.Name(), file.data)
	})
}
