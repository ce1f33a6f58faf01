package external

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A file on FUSE is read by whoever may read it, by a ComparedCopy, as leases prove nothing there. The
// copy lies in TempDir, or on FUSE if that can be, and what must not be had so is refused.
func TestTreeOpen(t *testing.T) {
	data := noise(300*page + 5)
	eachTree(t, func(t *testing.T, tree *fusetest.Tree, back string) {
		must(t, os.WriteFile(filepath.Join(back, "f"), data, 0o644))
		name, temp := filepath.Join(tree.Dir(), "f"), mounttest.Dir(t, mounttest.Memory)
		c := snapshot.Config{TempDir: temp}
		m, err := c.Open(context.Background(), name)
		must(t, err)
		wantContents(t, m, data)
		if m.Method() != snapshot.ComparedCopy {
			t.Error(m.Method())
		}
		if !strings.HasSuffix(t.Name(), "Unnamed") { // which has it there
			_ = private(t, temp).Close()
		}
		must(t, m.Close())
		wantRefusals(t, c, name)

		f, err := os.Open(name)
		must(t, err)
		defer f.Close()
		must(t, os.Rename(name, name+"2"))
		for range 2 { // it has another name now, then none
			m, err = c.FromFile(context.Background(), f)
			must(t, err)
			wantContents(t, m, data)
			if m.Method() != snapshot.ComparedCopy {
				t.Error(m.Method())
			}
			must(t, m.Close())
			_ = os.Remove(name + "2")
		}
	})
}

func wantRefusals(t *testing.T, c snapshot.Config, name string) {
	t.Helper()
	c.NoCopy = true
	_, err := c.Open(context.Background(), name)
	wantIs(t, err, errors.ErrUnsupported)
	c.NoCopy, c.RequireConsistent = false, true
	_, err = c.Open(context.Background(), name)
	wantIs(t, err, snapshot.ErrUnstable)
	if err != nil && !strings.Contains(err.Error(), "leases prove nothing on this filesystem") {
		t.Error(err)
	}
}

// Where TempDir cannot hold the copy, memory does, up to 64 MiB.
func TestTreeOpenInMemory(t *testing.T) {
	tree, back := newTree(t, plainTree)
	const small, most = 128 << 10, 64 << 20
	for size, ok := range map[int64]bool{0: true, small: true, small + 1: true, most: true, most + 1: false} {
		f, err := os.Create(filepath.Join(back, "f"))
		must(t, err)
		must(t, f.Truncate(size))
		must(t, f.Close())
		for _, temp := range []string{filepath.Join(back, "missing"), tree.Dir()} {
			c := snapshot.Config{TempDir: temp}
			m, err := c.Open(context.Background(), filepath.Join(tree.Dir(), "f"))
			if !ok {
				wantIs(t, err, errors.ErrUnsupported)
				if err != nil && !strings.Contains(err.Error(), "67108865 bytes are more than the 67108864 allowed there") {
					t.Error(err)
				}
				continue
			}
			must(t, err)
			if m.Size() != size || m.Method() != snapshot.ComparedCopy {
				t.Error(m.Size(), m.Method())
			}
			if size > small { // else the contents are in the Go heap
				_ = private(t, "/memfd:").Close()
			}
			must(t, m.Close())
		}
	}
}

// An ordinary user, too.
func TestTreeOrdinaryUser(t *testing.T) {
	var dir string
	data := noise(30 * page)
	if !mounttest.IsUserChild() {
		tree, back := newTree(t, bareTree)
		dir = tree.Dir()
		must(t, os.WriteFile(filepath.Join(back, "roots"), data, 0o644))
		must(t, os.WriteFile(filepath.Join(back, "secret"), data, 0o600))
		must(t, os.WriteFile(filepath.Join(back, "data"), data, 0o644)) // for him to compare
		own := filepath.Join(back, "own")
		must(t, os.Mkdir(own, 0o755))
		must(t, os.WriteFile(filepath.Join(own, "f"), data, 0o640))
		must(t, os.Chown(own, 65534, 65534))
		must(t, os.Chown(filepath.Join(own, "f"), 65534, 65534))
	}
	mounttest.AsUser(t, func(t *testing.T) {
		dir := os.Getenv("TEST_DIR")
		mounttest.Leaks(t)
		data, err := os.ReadFile(filepath.Join(dir, "data"))
		must(t, err)
		m, err := snapshot.Open(filepath.Join(dir, "roots"))
		must(t, err)
		wantContents(t, m, data)
		if m.Method() != snapshot.ComparedCopy {
			t.Error(m.Method())
		}
		must(t, m.Close())
		wantRefusals(t, snapshot.Config{}, filepath.Join(dir, "roots"))
		_, err = snapshot.Open(filepath.Join(dir, "secret"))
		wantIs(t, err, os.ErrPermission)
		_, err = snapshot.OpenMut(filepath.Join(dir, "roots"))
		wantIs(t, err, os.ErrPermission)
		_, err = snapshot.Create(filepath.Join(dir, "new"))
		wantIs(t, err, os.ErrPermission)
		name := filepath.Join(dir, "own", "f")
		w, err := snapshot.OpenMut(name)
		must(t, err)
		_, err = w.WriteAt([]byte("his"), 0)
		must(t, err)
		must(t, w.Commit())
		must(t, w.CommitAndClose())
		wantFile(t, name, append([]byte("his"), data[3:]...))
		fi, err := os.Stat(name)
		must(t, err)
		if fi.Mode().Perm() != 0o640 {
			t.Error(fi.Mode())
		}
	}, "TEST_DIR="+dir)
}
