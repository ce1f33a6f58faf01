package repository

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/.ci/internal/tree"
)

// orderSentence is the sentence of a doc.go that states the order of the files of a package. It may
// be in a comment that is not the package comment, and break lines between two words.
var orderSentence = regexp.MustCompile(
	`\bFiles, each of which uses only those named after it: (\w+\.go(?:, \w+\.go)*)\.`)

// A goPackage is a package as go list prints it.
type goPackage struct {
	Dir, ImportPath, Export string
	GoFiles                 []string
}

// Each package of the library that has several files states an order of these files in its doc.go,
// and each file refers to declarations of files after it alone. A reader can therefore start with
// the first file and read down, and there is no circle. The system is Linux; test files are free.
func TestFilesReferDown(t *testing.T) {
	out := goList(t, []string{"GOOS=linux"}, "-export", "-deps",
		"-json=Dir,ImportPath,Export,GoFiles", tree.Module+"/snapshot/...")
	packages, exports := []goPackage{}, map[string]string{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if strings.HasPrefix(p.ImportPath+"/", tree.Module+"/snapshot/") {
			packages = append(packages, p)
		}
	}
	lookup := func(name string) (io.ReadCloser, error) { return os.Open(exports[name]) }
	ordered := 0
	for _, p := range packages {
		set := token.NewFileSet()
		imports := importer.ForCompiler(set, "gc", lookup)
		name := strings.TrimPrefix(p.ImportPath, tree.Module+"/")
		files := parseFiles(t, set, p)
		order := statedOrder(t, name, files)
		if order == nil {
			continue
		}
		ordered++
		for _, r := range fileReferences(t, set, imports, p.ImportPath, files) {
			if slices.Index(order, r.user) > slices.Index(order, r.declared) {
				t.Errorf("%s: %s refers to %s of %s, which the order in doc.go names before it",
					name, r.position, r.name, r.declared)
			}
		}
	}
	if ordered < 6 {
		t.Errorf("%d packages with an order of their files among %d", ordered, len(packages))
	}
}

// The sentence that states an order is found if it breaks lines, and no other form of it is.
func TestOrderSentence(t *testing.T) {
	const start = "Files, each of which uses only those named after it: "
	for text, want := range map[string]string{
		"Package p does. " + start + "a.go, b_c.go. More.": "a.go, b_c.go",
		start + "a.go.":                        "a.go",
		start + "a.go (for tests), b.go.":      "",
		start + "a.go and b.go.":               "",
		"Files, each of which uses all: a.go.": "",
	} {
		got := ""
		if m := orderSentence.FindStringSubmatch(text); m != nil {
			got = m[1]
		}
		if got != want {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
}

// parseFiles returns the files of a package by their names.
func parseFiles(t *testing.T, set *token.FileSet, p goPackage) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	for _, name := range p.GoFiles {
		mode := parser.ParseComments | parser.SkipObjectResolution
		file, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, mode)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = file
	}
	return files
}

// statedOrder returns the order of the files that the doc.go of a package states, and nil if the
// package needs no order or the order is not one of its files.
func statedOrder(t *testing.T, name string, files map[string]*ast.File) []string {
	t.Helper()
	var orders [][]string
	if doc := files["doc.go"]; doc != nil {
		for _, group := range doc.Comments {
			text := strings.Join(strings.Fields(group.Text()), " ")
			for _, match := range orderSentence.FindAllStringSubmatch(text, -1) {
				orders = append(orders, strings.Split(match[1], ", "))
			}
		}
	}
	var want []string
	for file := range files {
		if file != "doc.go" {
			want = append(want, file)
		}
	}
	slices.Sort(want)
	if len(orders) == 0 && len(want) < 2 {
		return nil
	}
	if len(orders) != 1 {
		t.Errorf("%s: %d sentences in doc.go state the order of its files: %q",
			name, len(orders), orderSentence)
		return nil
	}
	if got := slices.Sorted(slices.Values(orders[0])); !slices.Equal(got, want) {
		t.Errorf("%s: the order in doc.go is one of %v, and the files are %v", name, got, want)
		return nil
	}
	return orders[0]
}

// A fileReference is the first use, in one file of a package, of one declaration of another file.
type fileReference struct{ user, declared, name, position string }

// fileReferences returns the uses of functions, types, variables, constants, methods and fields of
// a package in other files of that package.
func fileReferences(t *testing.T, set *token.FileSet, imports types.Importer, path string,
	files map[string]*ast.File,
) []fileReference {
	t.Helper()
	var list []*ast.File
	for _, file := range files {
		list = append(list, file)
	}
	config := types.Config{Importer: imports, Sizes: types.SizesFor("gc", "amd64")}
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	pkg, err := config.Check(path, set, list, &info)
	if err != nil {
		t.Fatal(err)
	}
	var refs []fileReference
	seen := map[[2]any]bool{}
	ids := make([]*ast.Ident, 0, len(info.Uses))
	for id := range info.Uses {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b *ast.Ident) int { return int(a.Pos() - b.Pos()) })
	for _, id := range ids {
		object := info.Uses[id]
		if _, qualifier := object.(*types.PkgName); qualifier || object.Pkg() != pkg {
			continue
		}
		user, declared := set.File(id.Pos()), set.File(object.Pos())
		if key := [2]any{user, object}; user != declared && !seen[key] {
			seen[key] = true
			refs = append(refs, fileReference{
				user:     filepath.Base(user.Name()),
				declared: filepath.Base(declared.Name()),
				name:     id.Name,
				position: filepath.Base(set.Position(id.Pos()).String()),
			})
		}
	}
	return refs
}
