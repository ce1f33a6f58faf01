package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/examples/internal/beside"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// What becomes of files between listing and copying them.
func TestChangedSinceListed(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		tree, secret := makeTree(t, dir), programtest.Put(t, dir, "outside", "outside")
		var said strings.Builder
		c := newCopier(t, tree, &said)
		must(t, c.walk(t.Context()))
		to, err := os.OpenRoot(dir)
		must(t, err)
		defer to.Close()
		must(t, c.makeTree(to))
		defer c.close()
		at := func(name string) string { return filepath.Join(tree, name) }
		must(t, os.Remove(at("a")))
		must(t, os.Remove(at("none")))
		must(t, os.Symlink(secret, at("none")))
		must(t, os.Remove(at("run")))
		must(t, syscall.Mkfifo(at("run"), 0o666))
		must(t, os.RemoveAll(at("d/e")))
		must(t, os.Symlink(dir, at("d/e")))
		must(t, os.Chmod(at("secret"), 0o400))
		programtest.Put(t, tree, "large", "other")
		must(t, c.copyAll(t.Context(), 2))
		must(t, c.finishDirectories(t.Context()))
		for _, line := range []string{"a: left out: vanished\n", "none: left out: ", "run: left out: no longer a regular file\n", "d/e/c: left out: "} {
			if !strings.Contains(said.String(), "backup: "+line) {
				t.Errorf("no %q in %q", line, &said)
			}
		}
		if c.lacking != 4 {
			t.Errorf("%d lacking", c.lacking)
		}
		got := content(t, filepath.Join(dir, treeName))
		for _, e := range c.entries {
			if !strings.HasPrefix(got[string(e.Path)], e.Mode) || strings.Contains(got[string(e.Path)], "outside\"") {
				t.Errorf("%s: %+v, %.100q", e.Path, e, got[string(e.Path)])
			}
			delete(got, string(e.Path))
		}
		if len(got) > 0 {
			t.Errorf("in the copy, not in the manifest: %q", got)
		}
		for name, size := range map[string]int64{"large": 5, "secret": 1} {
			if i := slices.IndexFunc(c.entries, func(e *entry) bool { return string(e.Path) == name }); c.entries[i].Size != size {
				t.Errorf("%+v", c.entries[i])
			}
		}
		must(t, os.Chmod(filepath.Join(dir, treeName, "closed"), 0o755))
	})
}

// The copy goes to the directory that was made, also if the destination's name leads elsewhere
// meanwhile.
func TestDestinationMoved(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		source, at := makeTree(t, dir), func(name string) string { return filepath.Join(dir, name) }
		for _, name := range []string{"copy", "outside", "outside/tree"} {
			must(t, os.Mkdir(at(name), 0o755))
		}
		to, err := os.OpenRoot(at("copy"))
		must(t, err)
		defer to.Close()
		var said strings.Builder
		c := newCopier(t, source, &said)
		must(t, c.walk(t.Context()))
		must(t, c.makeTree(to))
		defer c.close()
		must(t, os.Rename(at("copy"), at("moved")))
		must(t, os.Symlink("outside", at("copy")))
		must(t, c.copyAll(t.Context(), 2))
		must(t, c.finishDirectories(t.Context()))
		must(t, writeManifest(t.Context(), to, c.entries))
		programtest.Call(t, run, "-verify", at("moved")).Want(t, 0, "as in the manifest", "")
		mounttest.WantNames(t, at("outside"), "tree")
		mounttest.WantNames(t, at("outside/tree"))
		must(t, os.Chmod(at("moved/tree/closed"), 0o755))
	})
}

// A tree in which somebody replaces, truncates, makes and removes files all the time: each file
// that is replaced is one version, and the copy is as its manifest says.
func TestLiveTree(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		tree := filepath.Join(dir, "source")
		must(t, os.MkdirAll(filepath.Join(tree, "d"), 0o755))
		versions := []string{strings.Repeat("old", 20_000), strings.Repeat("newer", 14_000)}
		outside := programtest.Put(t, dir, "outside", "outside")
		for i := range 10 {
			programtest.Put(t, tree, fmt.Sprint(i), versions[0])
			programtest.Put(t, tree, fmt.Sprint("d/", i), "come and go")
		}
		grown := programtest.Put(t, tree, "grown", "")
		change := func(i int) error {
			passing := filepath.Join(tree, "d", fmt.Sprint(i%10))
			_ = os.Remove(passing)
			return firstError(
				os.Symlink(outside, passing),
				programtest.Replace(filepath.Join(tree, fmt.Sprint(i%10)), versions[i%2]),
				os.WriteFile(grown, []byte(versions[i%2]), 0o644), // truncates, then writes
				os.Remove(passing),
				os.WriteFile(passing, []byte("come and go"), 0o644),
			)
		}
		beside.Do(t, mounttest.Count(3, 20, 1000), change, func(i int) {
			copied := filepath.Join(dir, fmt.Sprint("copy", i))
			r := programtest.Call(t, run, tree, copied)
			if r.Status != 0 && r.Status != incomplete {
				t.Fatalf("%+v", r)
			}
			programtest.Call(t, run, "-verify", copied).Want(t, 0, "as in the manifest", "")
			for name, line := range content(t, filepath.Join(copied, treeName)) {
				_, quoted, _ := strings.Cut(line, `"`)
				replaced := len(name) == 1 && name != "." && name != "d"
				if replaced && !slices.Contains(versions, strings.TrimSuffix(quoted, `"`)) {
					t.Errorf("%s is a mix: %.100q", name, line)
				}
				if strings.Contains(quoted, "outside") {
					t.Errorf("%s comes from outside", name)
				}
			}
			must(t, os.RemoveAll(copied))
		})
	})
}

// A symbolic link that takes the place of a file or of a directory since it was listed is not
// followed, also if it leads to a file of the source: the copy of another user's private file
// would lie in a directory that is open to all.
func TestLinkedSinceListed(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	for _, name := range []string{"", "private", "mine", "mine/below", "ours"} {
		must(t, os.Mkdir(filepath.Join(source, name), 0o755))
	}
	for _, name := range []string{"private/f", "mine/f", "mine/below/f", "ours/f", "ours/g"} {
		programtest.Put(t, source, name, filepath.Dir(name))
	}
	must(t, os.Chmod(filepath.Join(source, "private"), 0o700))
	var said strings.Builder
	c := newCopier(t, source, &said)
	must(t, c.walk(t.Context()))
	to, err := makeDestination(filepath.Join(dir, "copy"))
	must(t, err)
	defer to.close()
	must(t, c.makeTree(to.Root))
	defer c.close()
	must(t, os.Rename(filepath.Join(source, "mine"), filepath.Join(dir, "mine")))
	must(t, os.Symlink("private", filepath.Join(source, "mine")))
	must(t, os.Symlink(".", filepath.Join(source, "private/below")))
	must(t, os.Remove(filepath.Join(source, "ours/f")))
	must(t, os.Symlink("../private/f", filepath.Join(source, "ours/f")))
	must(t, c.copyAll(t.Context(), 2))
	for _, name := range []string{"mine/f", "mine/below/f", "ours/f"} {
		if !strings.Contains(said.String(), "backup: "+name+": left out: ") {
			t.Errorf("%s was copied: %q", name, &said)
		}
	}
	if c.lacking != 3 {
		t.Errorf("%d lacking: %q", c.lacking, &said)
	}
	mounttest.WantNames(t, filepath.Join(dir, "copy/tree/private"), "f")
	mounttest.WantNames(t, filepath.Join(dir, "copy/tree/ours"), "g")
}

// A directory that is replaced by a symbolic link while it is listed is listed as it was, or not.
func TestLinkedWhileListed(t *testing.T) {
	for _, when := range []string{"d", "d/a"} {
		dir := t.TempDir()
		at := func(name string) string { return filepath.Join(dir, name) }
		must(t, os.Mkdir(at("d"), 0o755))
		must(t, os.MkdirAll(at("private/b"), 0o755))
		for _, name := range []string{"d/a", "d/b", "private/a", "private/b/c", "private/e"} {
			programtest.Put(t, dir, name, "")
		}
		root, err := os.OpenRoot(dir)
		must(t, err)
		defer root.Close()
		var seen []string
		must(t, walkTree(root, func(_ *os.Root, name string, fi os.FileInfo, err error) error {
			if name == when && err == nil {
				must(t, os.Rename(at("d"), at("moved")))
				must(t, os.Symlink("private", at("d")))
			}
			if strings.HasPrefix(name, "d/") && err == nil {
				seen = append(seen, name+" "+fi.Mode().String())
			}
			return nil
		}))
		want := map[string][]string{"d": nil, "d/a": {"d/a -rw-r--r--", "d/b -rw-r--r--"}}[when]
		if !slices.Equal(seen, want) {
			t.Errorf("replaced at %s: %q, want %q", when, seen, want)
		}
	}
}
