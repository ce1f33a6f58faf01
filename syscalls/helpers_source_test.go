package syscalls_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// functions returns the functions of the package, without methods, by name: those of the portable
// files, those for Linux and those for other systems.
func functions(t *testing.T) (portable, linux, other map[string]*ast.FuncDecl) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	portable, linux, other = map[string]*ast.FuncDecl{}, map[string]*ast.FuncDecl{},
		map[string]*ast.FuncDecl{}
	for _, name := range names {
		into := portable
		switch {
		case strings.HasSuffix(name, "_test.go"):
			continue
		case strings.HasSuffix(name, "_linux.go"):
			into = linux
		case name == "other.go":
			into = other
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				into[f.Name.Name] = f
			}
		}
	}
	if len(portable) == 0 || len(linux) == 0 || len(other) == 0 {
		t.Fatalf("%d portable functions, %d for Linux, %d for other systems: want some of each",
			len(portable), len(linux), len(other))
	}
	return portable, linux, other
}

// returns reports whether the last result of f is of the type.
func returns(f *ast.FuncDecl, typ string) bool {
	results := f.Type.Results
	return results != nil && isType(results.List[len(results.List)-1].Type, typ)
}

func isType(expr ast.Expr, typ string) bool {
	id, ok := expr.(*ast.Ident)
	return ok && id.Name == typ
}
