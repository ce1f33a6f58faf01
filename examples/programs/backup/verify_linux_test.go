package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
)

// Any difference from the manifest is found.
func TestVerify(t *testing.T) {
	dir := t.TempDir()
	tree := makeTree(t, dir)
	copied := filepath.Join(dir, "copy")
	in := func(name string) string { return filepath.Join(copied, treeName, name) }
	manifest := filepath.Join(copied, manifestName)
	for i, x := range []struct {
		damage   func() error
		out, err string
	}{
		{func() error { return os.Remove(in("a")) }, "a: missing\n", "2 differences"}, // the directory has another time, too
		{func() error { return os.WriteFile(in("a"), []byte("longer"), 0o644) }, "a: 6 bytes, not 5\n", "1 difference from"},
		{func() error {
			return firstError(os.WriteFile(in("a"), []byte("FIRST"), 0o644), os.Chtimes(in("a"), modified, modified))
		}, "a: other contents\n", "1 difference from"},
		{func() error { return os.Chmod(in("a"), 0o640) }, "a: mode -rw-r-----, not -rw-r--r--\n", "1 difference from"},
		{func() error { return os.Chtimes(in("a"), modified, modified.Add(1)) }, "a: modified ", "1 difference from"},
		{func() error {
			return firstError(os.Remove(in("d/up")), os.Symlink("../..", in("d/up")), os.Chtimes(in("d"), modified, modified))
		}, "d/up: leads to ../.., not ..\n", "1 difference from"},
		{func() error {
			return firstError(os.WriteFile(in("d/new"), nil, 0o644), os.Chtimes(in("d"), modified, modified))
		}, "d/new: not in the manifest\n", "1 difference from"},
		{func() error {
			return firstError(os.Remove(in("a")), syscall.Mkfifo(in("a"), 0o644), os.Chtimes(in(""), modified, modified))
		}, "a: mode prw", "1 difference from"},
		{func() error { return os.Link(in("a"), filepath.Join(dir, "link")) }, "a: 2 hard links, not 1\n", "1 difference from"},
		{func() error { return os.WriteFile(filepath.Join(copied, "extra\n"), nil, 0o644) },
			`"extra\n": beside the tree, not in the manifest`, "1 difference from"},
		{func() error { return os.Remove(manifest) }, "", "not a complete copy"},
		{func() error { return os.Truncate(manifest, 0) }, "", "not a manifest"},
		{func() error { return os.Truncate(manifest, 500) }, "", "damaged after"},
		{func() error { return os.WriteFile(manifest, []byte(`{"Format":"backup 2","Entries":0}`), 0o644) }, "a: not in the manifest", "22 differences"},
		{func() error {
			return os.WriteFile(manifest, []byte(`{"Format":"backup 2","Entries":1}{"Path":"../x","Mode":"-"}`), 0o644)
		}, "", "not an entry"},
	} {
		programtest.Call(t, run, tree, copied).Want(t, 0, "", "")
		must(t, x.damage())
		programtest.Call(t, run, "-verify", copied).Want(t, 1, x.out, x.err)
		if t.Failed() {
			t.Fatalf("damage %d", i)
		}
		must(t, os.Chmod(in("closed"), 0o755))
		must(t, os.RemoveAll(copied))
	}
}
