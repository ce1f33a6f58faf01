package repository

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/.ci/internal/tree"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Tests decide by what a filesystem can and by what this process may, for which package mounttest
// has a table and Need, not by the name of the one and the number of the other.
//
//promise:mounttest no test decides by the name of a filesystem or the number of a user
func TestNothingIsDecidedByName(t *testing.T) {
	var names []string
	for _, kind := range mounttest.Kinds(0) {
		names = append(names, kind.String())
	}
	looked := 0
	dir := root(t)
	err := tree.Walk(dir, func(name string) error {
		switch at := path.Dir(name); {
		case at == "syscalls/mounttest": // has the table
			return nil
		case at == "benchmarks/report": // reads names that were written, and decides no test
			return nil
		case !strings.HasSuffix(name, "_test.go") && at != "benchmarks/external/fusetest":
			return nil
		case path.Ext(name) != ".go":
			return nil
		}
		looked++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, filepath.Join(dir, filepath.FromSlash(name)), nil, 0)
		if err != nil {
			return err
		}
		for _, found := range decides(file, names) {
			at := set.Position(found.Pos())
			t.Errorf("%v: %s decides, which is for package mounttest", at, found.Value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if looked < 100 {
		t.Errorf("only %d files: nothing is tested", looked)
	}
}

// decides returns the names of filesystems and the comparisons of user numbers in a file.
func decides(file *ast.File, names []string) (found []*ast.BasicLit) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Command" {
				return false // the name of a program
			}
		case *ast.BasicLit:
			value, err := strconv.Unquote(n.Value)
			if n.Kind == token.STRING && err == nil && slices.Contains(names, value) {
				found = append(found, n)
			}
		case *ast.BinaryExpr:
			for _, side := range []ast.Expr{n.X, n.Y} {
				call, ok := side.(*ast.CallExpr)
				if !ok {
					continue
				}
				f, ok := call.Fun.(*ast.SelectorExpr)
				if ok && strings.HasSuffix(f.Sel.Name, "uid") {
					found = append(found, &ast.BasicLit{ValuePos: f.Pos(), Value: f.Sel.Name})
				}
			}
		}
		return true
	})
	return found
}

func TestDecides(t *testing.T) {
	const source = `package p
func f() {
	if os.Geteuid() == 0 || 0 != syscall.Getuid() || kind == "zfs" {
		exec.Command("zfs")
		uid := os.Getuid()
		println("a zfs", uid)
	}
	switch x { case "zfs": }
}`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, found := range decides(file, []string{"zfs"}) {
		got = append(got, found.Value)
	}
	if want := []string{"Geteuid", "Getuid", `"zfs"`, `"zfs"`}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
