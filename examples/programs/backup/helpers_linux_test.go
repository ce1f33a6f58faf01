package main

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// makeTree makes a tree with some of everything, special files aside, and returns its name.
func makeTree(t *testing.T, dir string) string {
	t.Helper()
	tree := filepath.Join(dir, "source")
	large := make([]byte, 300_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(large)
	for _, d := range []string{"", "d", "d/e", "empty", "closed", "\xfe"} {
		if err := os.Mkdir(filepath.Join(tree, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{
		"a": "first", "d/b": "second", "d/e/c": "third", "none": "", "large": string(large), "closed/x": "x",
		"odd\xff\n": "odd", "\xfe/\xfd": "", "run": "#!", "secret": "s", "manifest": "no", "sparse": "begin",
	} {
		programtest.Put(t, tree, name, content)
	}
	must(t, os.Truncate(filepath.Join(tree, "sparse"), 2<<20))
	for link, to := range map[string]string{"link": "d/b", "dangling": "nowhere", "out": "/etc/hostname", "d/up": ".."} {
		must(t, os.Symlink(to, filepath.Join(tree, link)))
	}
	must(t, os.Chmod(filepath.Join(tree, "run"), 0o755|fs.ModeSetuid))
	must(t, os.Chmod(filepath.Join(tree, "secret"), 0o600))
	must(t, filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type() == fs.ModeSymlink {
			return err
		}
		return os.Chtimes(path, modified, modified)
	}))
	must(t, os.Chmod(filepath.Join(tree, "closed"), 0o555))
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(tree, "closed"), 0o755) })
	return tree
}

// content returns all that is to be the same in a copy: a line for each file.
func content(t *testing.T, tree string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		must(t, err)
		line := fi.Mode().String()
		switch fi.Mode().Type() {
		case fs.ModeSymlink:
			to, _ := os.Readlink(path)
			line += " to " + to
		case 0:
			b, err := os.ReadFile(path)
			must(t, err)
			line += fmt.Sprintf(" %v %q", fi.ModTime(), b)
		default:
			line += fmt.Sprintf(" %v", fi.ModTime())
		}
		rel, _ := filepath.Rel(tree, path)
		all[rel] = line
		return nil
	}))
	return all
}

var modified = time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC)

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func newCopier(t *testing.T, source string, said *strings.Builder) *copier {
	src, err := os.OpenRoot(source)
	must(t, err)
	t.Cleanup(func() { _ = src.Close() })
	return &copier{std: program.Std{Err: said}, src: src}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
