// Package repository tests the repository as a whole: who imports whom, which files it has, and
// what its documents say.
package repository

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/.ci/internal/tree"
)

// layout lists the packages of the root module from the lowest floor to the highest, and the
// packages that each of them may import besides the standard library, tests aside. Imports go down
// only: a package of the module may import packages of rows above its own. Its names leave out the
// path of the module.
var layout = []struct {
	name    string
	imports []string
}{
	{"syscalls", []string{"golang.org/x/sys/unix"}},
	{seccomp, []string{"golang.org/x/sys/unix"}},
	{"syscalls/mounttest", []string{"golang.org/x/sys/unix", seccomp}},
	{"syscalls/mounttest/restrict", []string{"golang.org/x/sys/unix", seccomp}},
	{internal + "sys", []string{"syscalls"}},
	{internal + "retry", nil},
	{internal + "sys/systest", []string{"syscalls", internal + "sys", internal + "retry"}},
	{internal + "pathname", []string{"syscalls", internal + "sys", internal + "retry"}},
	{internal + "mapped", []string{"syscalls", internal + "sys"}},
	{internal + "privatefile", []string{
		"syscalls", internal + "sys", internal + "retry", internal + "pathname",
	}},
	{internal + "lease", []string{
		"syscalls", internal + "sys", internal + "pathname", internal + "mapped",
		internal + "privatefile",
	}},
	{internal + "defrag", []string{"syscalls", internal + "sys", internal + "privatefile"}},
	{internal + "extentdiff", []string{"syscalls", internal + "sys"}},
	{internal + "publish", []string{
		"syscalls", internal + "sys", internal + "retry", internal + "pathname",
	}},
	{"snapshot", []string{
		"syscalls", internal + "sys", internal + "retry", internal + "pathname", internal + "mapped",
		internal + "privatefile", internal + "lease", internal + "defrag", internal + "extentdiff",
		internal + "publish",
	}},
	{"adapters", []string{"snapshot", "syscalls"}},
	{"adapters/httpfs", []string{"snapshot", "adapters"}},
	{"benchmarks/internal/interleave", nil},
	{"benchmarks", nil},
	{"examples/internal/beside", nil},
	{"examples/quickstart", []string{"snapshot", "adapters"}},
	{"examples/serve", []string{"snapshot", "adapters", "adapters/httpfs"}},
}

const (
	seccomp  = "syscalls/mounttest/internal/seccomp"
	internal = "snapshot/internal/"
)

// Each package imports only the packages of its row, only the lowest floor imports unsafe, and each
// package has a package comment.
//
//promise:syscalls all unsafe code of the module lies in syscalls
func TestLayout(t *testing.T) {
	mayImport := map[string][]string{}
	for _, row := range layout {
		for _, imp := range row.imports {
			if _, lower := mayImport[imp]; !lower && !outside(imp) {
				t.Errorf("the row of %s names %s, which has no row above", row.name, imp)
			}
		}
		mayImport[row.name] = row.imports
	}
	for _, goos := range []string{"linux", "darwin"} {
		env := []string{"GOOS=" + goos, "GOARCH=arm64"}
		out := goList(t, env, "-json=ImportPath,Imports,Doc", tree.Module+"/...")
		seen := 0
		for dec := json.NewDecoder(bytes.NewReader(out)); ; {
			var p struct {
				ImportPath, Doc string
				Imports         []string
			}
			if err := dec.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			seen++
			name := strings.TrimPrefix(p.ImportPath, tree.Module+"/")
			allowed, known := mayImport[name]
			if !known {
				t.Errorf("%s has no row in layout", name)
			}
			if p.Doc == "" {
				t.Errorf("%s has no package comment", name)
			}
			for _, imp := range p.Imports {
				short := strings.TrimPrefix(imp, tree.Module+"/")
				unlisted := (short != imp || outside(imp)) && !slices.Contains(allowed, short)
				if unlisted || imp == "unsafe" && !strings.HasPrefix(name, "syscalls") {
					t.Errorf("%s must not import %s", name, imp)
				}
			}
		}
		if seen < len(layout) {
			t.Errorf("GOOS=%s: %d packages, and layout has %d", goos, seen, len(layout))
		}
	}
}

// outside reports whether an import path belongs to neither the standard library nor, in the short
// form of layout, to this module.
func outside(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return strings.Contains(first, ".")
}

// A program that imports package adapters and not package net does not link package net, which with
// cgo would link the C library.
//
//promise:adapters importing the package links neither package net nor cgo
func TestNoNet(t *testing.T) {
	deps := strings.Fields(string(goList(t, []string{"GOOS=linux"}, "-deps", "./adapters")))
	for _, not := range []string{"net", "net/http", "os/user", "runtime/cgo"} {
		if slices.Contains(deps, not) {
			t.Errorf("adapters imports %s", not)
		}
	}
	if !slices.Contains(deps, tree.Module+"/snapshot") {
		t.Errorf("go list -deps says %v", deps)
	}
}

// The top of the tree holds the expected files and directories alone, besides dot files.
//
//promise:readme the module requires golang.org/x/sys and no other module
func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root(t))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"go.mod", "go.sum", "README.md", "LICENSE"}
	want = append(want, "syscalls", "snapshot", "adapters", "benchmarks", "examples")
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(want, e.Name()) {
			t.Errorf("%s does not belong at the top of the tree", e.Name())
		}
	}
	// Users of the module inherit its requirements, so it requires one module alone.
	mod, err := os.ReadFile(filepath.Join(root(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		f := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(f) >= 2 && strings.HasPrefix(f[1], "v") && f[0] != "golang.org/x/sys" {
			t.Errorf("go.mod requires %s", f[0])
		}
	}
}

// Code that needs other modules is a module of its own below benchmarks or examples, and builds
// with the code beside it.
func TestNestedModules(t *testing.T) {
	dir, modules := root(t), 0
	err := tree.Walk(dir, func(file string) error {
		name := path.Dir(file)
		if path.Base(file) != "go.mod" || name == "." {
			return nil
		}
		modules++
		mod, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file)))
		if err != nil {
			return err
		}
		top, _, _ := strings.Cut(name, "/")
		if top != "benchmarks" && top != "examples" {
			t.Errorf("%s: no module belongs there", file)
		}
		back := strings.Repeat("/..", strings.Count(name, "/")+1)[1:]
		lines := strings.Split(string(mod), "\n")
		if line := "module " + tree.Module + "/" + name; !slices.Contains(lines, line) {
			t.Errorf("%s: no line %q", file, line)
		}
		if !strings.Contains(string(mod), tree.Module+" v") {
			return nil
		}
		if top == "examples" {
			// go install refuses a module that replaces another, and takes no notice of go.work.
			if strings.Contains(string(mod), "replace") {
				t.Errorf("%s: its programs could not be installed", file)
			}
			work, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name), "go.work"))
			if err != nil {
				return err
			}
			lines = strings.Split(string(work), "\n")
		}
		if line := "replace " + tree.Module + " => " + back; !slices.Contains(lines, line) {
			t.Errorf("%s: no line %q there or in go.work", file, line)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if modules == 0 {
		t.Error("no module found")
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		// TestTopLevel checks the requirements. A replacement would make the module unusable for
		// others, and a sum of another module is left over from a requirement that leaked in.
		for line := range strings.Lines(string(b)) {
			leaked := name == "go.sum" && !strings.HasPrefix(line, "golang.org/x/sys ")
			if leaked || strings.HasPrefix(line, "replace") {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}
