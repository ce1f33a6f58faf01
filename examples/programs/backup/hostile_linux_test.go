package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A FIFO in place of a file or directory is an error at once, also if a process has opened it for
// writing and writes nothing.
func TestNothingWaitsForFIFO(t *testing.T) {
	dir := t.TempDir()
	tree, copied := filepath.Join(dir, "source"), filepath.Join(dir, "copy")
	must(t, os.Mkdir(tree, 0o755))
	plain := programtest.Put(t, tree, "plain", "plain")
	fifo := filepath.Join(dir, "fifo")
	makeFIFO := func(name string) {
		must(t, syscall.Mkfifo(name, 0o666))
		writer, err := os.OpenFile(name, os.O_RDWR, 0)
		must(t, err)
		t.Cleanup(func() { _ = writer.Close() })
	}
	makeFIFO(fifo)
	without := filepath.Join(dir, "without a writer")
	must(t, syscall.Mkfifo(without, 0o666))
	watchdog := time.AfterFunc(time.Minute, func() { panic("backup waits for a FIFO") })
	defer watchdog.Stop()

	for _, name := range []string{fifo, without} {
		programtest.Call(t, run, name, copied).Want(t, 1, "", "not a directory")
		programtest.Call(t, run, tree, filepath.Join(name, "copy")).Want(t, 1, "", "not a directory")
		programtest.Call(t, run, "-verify", name).Want(t, 1, "", "not a directory")
	}
	programtest.Call(t, run, tree, copied).Want(t, 0, "1 file, 5 bytes", "")
	must(t, os.Rename(filepath.Join(copied, treeName), filepath.Join(dir, "moved")))
	must(t, syscall.Mkfifo(filepath.Join(copied, treeName), 0o666))
	programtest.Call(t, run, "-verify", copied).Want(t, 1, "", "not a directory")
	must(t, os.Remove(filepath.Join(copied, manifestName)))
	makeFIFO(filepath.Join(copied, manifestName))
	programtest.Call(t, run, "-verify", copied).Want(t, 1, "", "no longer a regular file")

	// The file was one when it was listed.
	root, err := os.OpenRoot(tree)
	must(t, err)
	defer root.Close()
	listed, err := root.Lstat("plain")
	must(t, err)
	must(t, os.Rename(plain, plain+".old"))
	makeFIFO(plain)
	if f, err := openSame(t.Context(), root, "plain", listed); err == nil {
		_ = f.Close()
		t.Error("a FIFO was opened as the file")
	}
	must(t, os.Remove(plain))
	programtest.Put(t, tree, "plain", "another")
	if f, err := openSame(t.Context(), root, "plain", listed); err == nil {
		_ = f.Close()
		t.Error("another file was opened as the file")
	}
}

// A path longer than PATH_MAX is copied and verified.
func TestLongPath(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		below := strings.Repeat(strings.Repeat("n", 100)+"/", 45)
		deepTree(t, dir, below, 0, "2 files, 9 bytes; ", "")
	})
}

// A file below too many directories is left out, and the rest is copied.
func TestDeepTree(t *testing.T) {
	below := strings.Repeat("d/", maxDepth+5)
	deepTree(t, t.TempDir(), below, incomplete, ", 1 file lacking",
		strings.Repeat("/d", maxDepth)+": left out: below more than 255 directories\n"+
			"prog: 1 file is not in the copy as in the source\n")
}

func deepTree(t *testing.T, dir, below string, status int, out, errs string) {
	source, copied := filepath.Join(dir, "source"), filepath.Join(dir, "copy")
	must(t, os.Mkdir(source, 0o755))
	programtest.Put(t, source, "plain", "plain")
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	must(t, root.MkdirAll("source/"+strings.TrimSuffix(below, "/"), 0o755))
	must(t, root.WriteFile("source/"+below+"f", []byte("deep"), 0o644))
	programtest.Call(t, run, source, copied).Want(t, status, out, errs)
	programtest.Call(t, run, "-verify", copied).Want(t, 0, "as in the manifest", "")
	must(t, root.RemoveAll("source")) // os.RemoveAll takes no path longer than PATH_MAX
	must(t, root.RemoveAll("copy"))
}

// A file that the filesystem of the destination refuses is left out, and a directory with all files in it.
func TestRefusedByDestination(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		source, long := filepath.Join(dir, "source"), strings.Repeat("n", 300)
		must(t, os.Mkdir(source, 0o755))
		programtest.Put(t, source, "plain", "plain")
		must(t, os.Symlink("plain", filepath.Join(source, "link")))
		var said strings.Builder
		c := newCopier(t, source, &said)
		must(t, c.walk(t.Context()))
		info := func(name string) *entry {
			fi, err := os.Lstat(filepath.Join(source, name))
			must(t, err)
			e := &entry{Path: program.Name(name)}
			e.describe(fi)
			return e
		}
		below, link := info("plain"), info("link")
		directory := info(".")
		directory.Path = program.Name(long)
		below.Path = program.Name(long + "/below")
		link.Path, link.Target = "long link", program.Name(strings.Repeat("t", 5000))
		c.entries = append(c.entries, directory, below, link)

		to, err := makeDestination(filepath.Join(dir, "copy"))
		must(t, err)
		defer to.close()
		must(t, c.makeTree(to.Root))
		defer c.close()
		must(t, c.copyAll(t.Context(), 2))
		must(t, c.finishDirectories(t.Context()))
		must(t, writeManifest(t.Context(), to.Root, c.entries))
		for _, line := range []string{
			long + ": left out: mkdirat ", long + "/below: left out: its directory is left out\n",
			"long link: left out: symlinkat ",
		} {
			if !strings.Contains(said.String(), "backup: "+line) {
				t.Errorf("no %q in %q", line, &said)
			}
		}
		if c.lacking != 3 {
			t.Errorf("%d lacking", c.lacking)
		}
		mounttest.WantNames(t, filepath.Join(dir, "copy", treeName), "link", "plain")
		programtest.Call(t, run, "-verify", filepath.Join(dir, "copy")).Want(t, 0, "3 entries", "")
	})
}

// A destination that fails is removed, wherever it is by now, and nothing else is.
func TestRemoveDestination(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	made, err := makeDestination(at("copy"))
	must(t, err)
	defer made.close()
	must(t, made.MkdirAll("tree/d", 0o700))
	must(t, os.Rename(at("copy"), at("moved")))
	must(t, os.Mkdir(at("copy"), 0o755))
	programtest.Put(t, at("copy"), "precious", "")
	if err := made.remove(); err == nil || !strings.Contains(err.Error(), "copy was moved") {
		t.Errorf("moved: %v", err)
	}
	mounttest.WantNames(t, at("copy"), "precious")
	mounttest.WantNames(t, at("moved"))

	made, err = makeDestination(at("another"))
	must(t, err)
	defer made.close()
	must(t, made.MkdirAll("tree/d", 0o700))
	must(t, made.remove())
	mounttest.WantNames(t, dir, "copy", "moved")

	// Between making and opening it, another user put one there.
	parent, err := openRoot(dir)
	must(t, err)
	defer parent.Close()
	for name, make := range map[string]func(string) error{
		"open to all": func(name string) error { return firstError(os.Mkdir(name, 0o700), os.Chmod(name, 0o777)) },
		"not empty":   func(name string) error { return os.MkdirAll(filepath.Join(name, treeName), 0o700) },
	} {
		must(t, make(at(name)))
		root, err := openRoot(at(name))
		must(t, err)
		made := &destination{Root: root, parent: parent, base: name}
		must(t, os.Chmod(dir, 0o755))
		must(t, made.checkOwn()) // nobody else could
		must(t, os.Chmod(dir, 0o775))
		if err := made.checkOwn(); err == nil {
			t.Errorf("%s: taken for the one that was made", name)
		}
		must(t, root.Close())
	}
	must(t, os.Chmod(dir, 0o777))
	made, err = makeDestination(at("in a shared directory"))
	must(t, err)
	defer made.close()
	must(t, made.remove())
}

// The copy of a directory that may not be written to is removed, too, if a backup fails after that.
func TestRemoveClosedDirectories(t *testing.T) {
	mounttest.AsUser(t, func(t *testing.T) {
		dir := t.TempDir()
		source := filepath.Join(dir, "source")
		must(t, os.MkdirAll(filepath.Join(source, "closed", "below"), 0o755))
		programtest.Put(t, filepath.Join(source, "closed", "below"), "f", "x")
		must(t, os.Chmod(filepath.Join(source, "closed"), 0o555))
		defer func() { must(t, os.Chmod(filepath.Join(source, "closed"), 0o755)) }()
		var said strings.Builder
		c := newCopier(t, source, &said)
		must(t, c.walk(t.Context()))
		to, err := makeDestination(filepath.Join(dir, "copy"))
		must(t, err)
		defer to.close()
		must(t, c.makeTree(to.Root))
		defer c.close()
		must(t, c.copyAll(t.Context(), 2))
		must(t, c.finishDirectories(t.Context()))
		c.openDirectories()
		must(t, to.remove())
		if _, err := os.Lstat(filepath.Join(dir, "copy")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("left behind: %v", err)
		}
	})
}

// The destination is where the kernel finds its name: ".." after a symbolic link is the parent of
// what the link leads to, and no copy is made inside the source by such a name.
func TestDestinationBehindLink(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.MkdirAll(at("source/below"), 0o755))
	must(t, os.MkdirAll(at("other/below"), 0o755))
	programtest.Put(t, at("source"), "f", "")
	must(t, os.Symlink("other/below", at("link")))
	must(t, os.Symlink("source/below", at("inside")))
	name := dir + "/link/../copy"
	programtest.Call(t, run, at("source"), name).Want(t, 0, "1 file, 0 bytes", "")
	mounttest.WantNames(t, at("other"), "below", "copy")
	programtest.Call(t, run, "-verify", name).Want(t, 0, "as in the manifest", "")
	const inside = "the destination is inside the source"
	programtest.Call(t, run, at("source"), dir+"/inside/../copy").Want(t, 1, "", inside)
	t.Chdir(at("inside")) // $PWD has the link in it
	programtest.Call(t, run, at("source"), "../copy").Want(t, 1, "", inside)
	programtest.Call(t, run, at("source"), "copy").Want(t, 1, "", inside)
	programtest.Call(t, run, at("source"), "../../beside//").Want(t, 0, "1 file, 0 bytes", "")
	mounttest.WantNames(t, at("source"), "below", "f")
	mounttest.WantNames(t, dir, "beside", "inside", "link", "other", "source")
	for _, name := range []string{"", ".", "..", "/"} {
		if r := programtest.Call(t, run, at("source"), name); r.Status != 1 || r.Out != "" {
			t.Errorf("%q: %+v", name, r)
		}
	}
}
