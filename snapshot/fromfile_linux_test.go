package snapshot_test

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// FromFile needs no name: the file may be renamed, unlinked, or never have had one. Its offset
// stays.
//
//promise:snapshot.Config.FromFile the file may have been renamed or unlinked, or have no name
//promise:snapshot.Config.FromFile FromFile keeps the offset of the file and leaves the file open
//promise:snapshot.FromFile the snapshot has the contents of an open file under any name or none
func TestFromFile(t *testing.T) { smallAndPrivate(t, checkFromFile) }

func checkFromFile(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 100000)
		write(t, name, data)
		f := openFile(t, name, os.O_RDWR)
		_, err := f.Seek(1234, io.SeekStart)
		must(t, err)
		for _, step := range []func() error{
			func() error { return nil },
			func() error { return os.Rename(name, name+"2") },
			func() error { return os.Remove(name + "2") },
		} {
			must(t, step())
			m := fromFile(t, f)
			wantContents(t, m, data)
			if reflinks(dir) != (m.Method() == snapshot.Reflink) {
				t.Error(m.Method())
			}
			if off, err := f.Seek(0, io.SeekCurrent); off != 1234 {
				t.Error(off, err)
			}
			if m.Name() != name {
				t.Error(m.Name())
			}
		}
		_, err = f.WriteAt([]byte("still open"), 0)
		must(t, err)
	})
}

// Blocks of zeros take no space in a copy, though FromFile cannot ask for the holes of the file
// without moving the offset of the descriptor.
//
//promise:snapshot.Config.FromFile holes take no space in a copy
func TestFromFileHoles(t *testing.T) {
	mounttest.EachOf(t, copying|mounttest.Private, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name, size := join(dir, "f"), 64<<20+17
		data := make([]byte, size)
		for i, off := range []int{0, 5000, 1 << 20, 3<<20 - 1, size - 1} {
			copy(data[off:], noise(uint64(i), 5000))
		}
		f := openFile(t, name, os.O_RDWR|os.O_CREATE)
		must(t, f.Truncate(int64(size)))
		for off := 0; off < size; off += 1 << 20 {
			if p := data[off:min(off+1<<20, size)]; !bytes.Equal(p, make([]byte, len(p))) {
				_, err := f.WriteAt(p, int64(off))
				must(t, err)
			}
		}
		before := usedBytes(t, dir)
		m := fromFile(t, f)
		if n := usedBytes(t, dir) - before; n > 1<<20 {
			t.Errorf("the copy takes %d bytes", n)
		}
		wantContents(t, m, data)
	})
}

// FromFile takes whatever is a regular file that can be read: one opened through an os.Root, one
// without a name, one in memory.
//
//promise:snapshot.Config.FromFile FromFile takes any regular file, also of an os.Root or in memory
func TestFromFileOfAnyKind(t *testing.T) { smallAndPrivate(t, fromFileOfAnyKind) }

func fromFileOfAnyKind(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		data := noise(1, 100000)
		write(t, join(dir, "f"), data)
		root, err := os.OpenRoot(dir)
		must(t, err)
		defer root.Close()
		inRoot, err := root.Open("f")
		must(t, err)
		defer inRoot.Close()
		if m := fromFile(t, inRoot); (m.Method() == snapshot.Reflink) != reflinks(dir) {
			t.Error(m.Method())
		} else {
			wantContents(t, m, data)
		}
		fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
		must(t, err)
		tmp, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		must(t, err)
		for name, fd := range map[string]int{"memory": fd, "unnamed": tmp} {
			f := os.NewFile(uintptr(fd), name)
			defer f.Close()
			_, err := f.Write(data)
			must(t, err)
			m := fromFile(t, f)
			if want := reflinks(dir) && name == "unnamed"; (m.Method() == snapshot.Reflink) != want {
				t.Errorf("%s: %v", name, m.Method())
			}
			wantContents(t, m, data)
			if off, err := f.Seek(0, io.SeekCurrent); off != int64(len(data)) || err != nil {
				t.Error(off, err)
			}
		}
	})
}
