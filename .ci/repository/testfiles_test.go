package repository

import (
	"errors"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/.ci/internal/tree"
)

// Declarations that several test files of a package use are in files that a reader finds: their
// names begin with helpers. Fault injection and hooks into a package are in export_test.go.
func TestHelpersAreInTheirFiles(t *testing.T) {
	exempt := map[string]bool{
		"benchmarks/peers":   true, // each file declares rows of a table
		"syscalls/mounttest": true, // not yet
	}
	for dir, paths := range testFiles(t) {
		if exempt[dir] {
			continue
		}
		for name, users := range sharedTestNames(t, paths) {
			file := filepath.ToSlash(strings.Split(name, ":")[0])
			if base := filepath.Base(file); !strings.HasPrefix(base, "helpers") &&
				base != "export_test.go" && base != "export_linux_test.go" {
				t.Errorf("%s is used in %v, too: move it to a file helpers*_test.go", name, users)
			}
		}
	}
}

// The name of a file says for which system it is, if a name can say that.
func TestSystemIsInTheFileName(t *testing.T) {
	for _, paths := range testFiles(t) {
		for _, path := range paths {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, group := range file.Comments {
				for _, line := range group.List {
					x, _ := constraint.Parse(line.Text) // nil for other comments
					if tag, alone := x.(*constraint.TagExpr); alone && group.Pos() < file.Package {
						t.Errorf("%s: %s: use the suffix _%s_test.go", path, line.Text, tag)
					}
				}
			}
		}
	}
}

// testFiles returns the test files of the repository by their directories.
func testFiles(t *testing.T) map[string][]string {
	t.Helper()
	dirs, n := map[string][]string{}, 0
	err := tree.Walk(root(t), func(name string) error {
		if strings.HasSuffix(name, "_test.go") {
			dirs[path.Dir(name)] = append(dirs[path.Dir(name)], filepath.Join(root(t), name))
			n++
		}
		return nil
	})
	if err != nil || n < 100 {
		t.Fatalf("%d test files: %v", n, err)
	}
	return dirs
}

// sharedTestNames returns the functions, types, variables and constants of a package that other
// test files use than the one that declares them, as "file:name", and those files.
func sharedTestNames(t *testing.T, paths []string) map[string][]string {
	t.Helper()
	set, packages := token.NewFileSet(), map[string][]*ast.File{}
	for _, path := range paths {
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		packages[file.Name.Name] = append(packages[file.Name.Name], file)
	}
	shared := map[string]map[string]bool{}
	for name, files := range packages {
		// Imports are not loaded: names of the package itself are found without them.
		config := types.Config{Error: func(error) {}, Importer: noImporter{}}
		info := types.Info{Uses: map[*ast.Ident]types.Object{}}
		pkg, _ := config.Check(name, set, files, &info)
		for id, object := range info.Uses {
			declared, user := set.File(object.Pos()), set.File(id.Pos())
			if object.Parent() == pkg.Scope() && declared != user {
				key := declared.Name() + ":" + id.Name
				if shared[key] == nil {
					shared[key] = map[string]bool{}
				}
				shared[key][filepath.Base(user.Name())] = true
			}
		}
	}
	lists := map[string][]string{}
	for key, users := range shared {
		lists[key] = slices.Sorted(maps.Keys(users))
	}
	return lists
}

type noImporter struct{}

func (noImporter) Import(string) (*types.Package, error) { return nil, errors.ErrUnsupported }
