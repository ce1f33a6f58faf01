package adapters_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// rewrite opens a file for writing, which waits for a lease, and writes over it.
func rewrite(t *testing.T, name string, data []byte) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	supported(t, err)
	_, err = f.Write(data)
	supported(t, err)
	supported(t, f.Close())
}

// WriteTo of a snapshot under a lease hands the kernel copies: it makes no private copy, and what is
// written to the file meanwhile does not show.
//
//promise:adapters.Reader.WriteTo of a snapshot under a lease, w gets copies
func TestWriteToLazy(t *testing.T) {
	mounttest.Leaks(t)
	dir, content := mounttest.Dir(t, mounttest.Disk|mounttest.NoReflinks), random(1<<20)
	name := put(t, dir, "f", content)
	m, err := snapshot.Config{Lazy: true, NoCopy: true}.Open(context.Background(), name)
	supported(t, err)
	defer m.Close()
	supported(t, m.Prefetch(0, -1))
	out, err := os.Create(filepath.Join(dir, "out"))
	supported(t, err)
	defer out.Close()
	// With NoCopy, a private copy would be an error.
	n, err := adapters.NewReader(m).WriteTo(out)
	supported(t, err)
	got, err := os.ReadFile(out.Name())
	supported(t, err)
	if n != m.Size() || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, or others", n)
	}
}

// An FS with Lazy copies nothing, shows each version whole, and does not go on with a snapshot that
// has lost its lease.
//
//promise:adapters.NewFS Lazy applies: files are read under a lease, and a snapshot that has lost it is not shared
func TestFSLazy(t *testing.T) {
	mounttest.Leaks(t)
	dir, content := mounttest.Dir(t, mounttest.Disk|mounttest.NoReflinks), random(3<<20)
	name := put(t, dir, "f", content)
	fsys := newFS(t, dir, snapshot.Config{Lazy: true})
	f, err := fsys.Open("f")
	supported(t, err)
	defer f.Close()
	other := random(3 << 20)
	rewrite(t, name, other)
	got, err := io.ReadAll(f)
	supported(t, err)
	if !bytes.Equal(got, content) {
		t.Error("the open file changed")
	}
	if got := contents(t, fsys, "f"); !bytes.Equal(got, other) {
		t.Error("an old version")
	}

	// With NoCopy, the writer ends the snapshot. It writes nothing, so the file is the same.
	fsys = newFS(t, dir, snapshot.Config{Lazy: true, NoCopy: true})
	f, err = fsys.Open("f")
	supported(t, err)
	defer f.Close()
	w, err := os.OpenFile(name, os.O_WRONLY, 0)
	supported(t, err)
	supported(t, w.Close())
	if _, err := io.ReadAll(f); !errors.Is(err, snapshot.ErrUnstable) {
		t.Error(err)
	}
	if got := contents(t, fsys, "f"); !bytes.Equal(got, other) {
		t.Error("another version")
	}
}
