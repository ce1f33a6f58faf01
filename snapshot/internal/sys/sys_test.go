package sys

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"testing"
)

// Calls has a row for each variable of the package, under a name of its own.
func TestCallsAreComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "sys.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	variables := 0
	for _, decl := range file.Decls {
		if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.VAR {
			for _, spec := range d.Specs {
				variables += len(spec.(*ast.ValueSpec).Names)
			}
		}
	}
	names, pointers := map[string]bool{}, map[uintptr]bool{}
	for _, c := range Calls {
		names[c.Name] = true
		pointers[reflect.ValueOf(c.Func).Pointer()] = true
	}
	// Calls itself is a variable, too.
	if len(names) != variables-1 || len(pointers) != variables-1 || len(Calls) != variables-1 {
		t.Errorf("%d rows with %d names of %d variables, want %d",
			len(Calls), len(names), len(pointers), variables-1)
	}
}
