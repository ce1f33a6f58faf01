package consumers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The table in doc.go has all tests of this package and all modules that it requires, and no
// others, with the versions of go.mod. The files of the tests import the modules of their rows.
func TestTable(t *testing.T) {
	source, err := os.ReadFile("doc.go")
	must(t, err)
	modules, imports := required(t), testImports(t)
	row := regexp.MustCompile(`(?m)^//\t(\S+)  +(\S+)  +(Test\w+)  +\S.*$`)
	rows := row.FindAllStringSubmatch(string(source), -1)
	if lines := strings.Count(string(source), "  Test"); lines != len(rows) {
		t.Errorf("%d lines with tests, and %d rows", lines, len(rows))
	}
	seen := map[string]bool{}
	for _, row := range rows {
		module, version, test := row[1], row[2], row[3]
		seen[module], seen[test] = true, true
		if want, ok := modules[module]; ok && version != want || !ok && version != "-" {
			t.Errorf("the version of %s is %s in the table, and %q in go.mod", module, version, want)
		}
		uses := func(imp string) bool { return imp == module || strings.HasPrefix(imp, module+"/") }
		if !slices.ContainsFunc(imports[test], uses) {
			t.Errorf("%s is no test of a file that imports %s", test, module)
		}
	}
	for name := range maps.Keys(modules) {
		if !seen[name] {
			t.Errorf("the table lacks %s", name)
		}
	}
	for name := range imports {
		if !seen[name] && name != t.Name() && name != "TestMain" {
			t.Errorf("the table lacks %s", name)
		}
	}
}

// required returns the versions of the modules that go.mod requires for what this package imports.
func required(t *testing.T) map[string]string {
	t.Helper()
	mod, err := os.ReadFile("go.mod")
	must(t, err)
	versions := map[string]string{}
	direct := regexp.MustCompile(`(?m)^\t(\S+) (v\S+)$`)
	for _, m := range direct.FindAllStringSubmatch(string(mod), -1) {
		if m[1] != "github.com/mmapsnapshot/mmapsnapshot" {
			versions[m[1]] = m[2]
		}
	}
	return versions
}

// testImports returns the tests of this package, with the imports of their files.
func testImports(t *testing.T) map[string][]string {
	t.Helper()
	names, err := filepath.Glob("*_test.go")
	must(t, err)
	imports := map[string][]string{}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		must(t, err)
		var paths []string
		for _, spec := range file.Imports {
			paths = append(paths, strings.Trim(spec.Path.Value, `"`))
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Test") {
				imports[f.Name.Name] = paths
			}
		}
	}
	return imports
}
