package snapshot_test

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

//promise:snapshot.MmapMut.Link a name that exists is fs.ErrExist
//promise:snapshot.MmapMut.Link the new file has the attributes of the snapshot's file
func TestLink(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 10000)
		write(t, name, data)
		must(t, os.Chmod(name, 0o600))
		m := openMut(t, name)
		clear(m.Bytes()[:10])
		must(t, m.Link(join(dir, "g")))
		wantFile(t, name, data)
		clear(data[:10])
		wantFile(t, join(dir, "g"), data)
		wantMode(t, join(dir, "g"), 0o600)
		must(t, os.Symlink("nowhere", join(dir, "h")))
		for _, taken := range []string{"f", "g", "h"} {
			err := m.Link(join(dir, taken))
			var linkErr *os.LinkError
			if !errors.Is(err, fs.ErrExist) || !errors.As(err, &linkErr) {
				t.Errorf("%s: %v", taken, err)
			}
		}
		clear(m.Bytes()) // the copy is on its own
		wantFile(t, join(dir, "g"), data)
		wantNames(t, dir, "f", "g", "h")
	})
}

// CommitTo writes elsewhere, with the attributes of what is there or else of the snapshot's
// file, and the snapshot stays bound to its own name.
//
//promise:snapshot.MmapMut.CommitTo attributes come from a replaced file, else from the snapshot's
//promise:snapshot.MmapMut.CommitTo the snapshot stays bound to its own name
func TestCommitTo(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name, other, fresh := join(dir, "f"), join(dir, "other"), join(dir, "new")
		write(t, name, noise(1, 100))
		must(t, os.Chmod(name, 0o640))
		write(t, other, noise(2, 50))
		must(t, os.Chmod(other, 0o606))
		m := openMut(t, name)
		must(t, m.Resize(10))
		must(t, m.CommitTo(other))
		must(t, m.CommitTo(fresh))
		want := noise(1, 100)[:10]
		wantFile(t, other, want)
		wantMode(t, other, 0o606)
		wantFile(t, fresh, want)
		wantMode(t, fresh, 0o640)
		wantFile(t, name, noise(1, 100))
		must(t, m.Commit())
		wantFile(t, name, want)
		wantNames(t, dir, "f", "new", "other")
		if m.Name() != name {
			t.Error(m.Name())
		}
	})
}

// CommitTo and Link reach other filesystems, where the data are copied.
//
//promise:snapshot.MmapMut.CommitTo CommitTo writes to other filesystems
//promise:snapshot.MmapMut.Link Link writes to other filesystems
func TestCommitToOtherFilesystem(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		there := mounttest.Dir(t, mounttest.Memory)
		name := join(dir, "f")
		data := noise(1, 100000)
		write(t, name, data)
		m := openMut(t, name)
		must(t, m.CommitTo(join(there, "a")))
		must(t, m.Link(join(there, "b")))
		wantFile(t, join(there, "a"), data)
		wantFile(t, join(there, "b"), data)
		wantNames(t, there, "a", "b")
	})
}
