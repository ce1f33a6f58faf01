// Counted prints a pattern for go test -run that matches the tests of packages whose number of
// repetitions mounttest.Count decides, directly or through other functions of the tests.
//
//	MOUNTTEST_COUNT=ci go test -run "$(go run ./.ci/counted ./snapshot)" ./snapshot
//
// If there are several packages, a test is also matched if one of its name counts in another.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: counted DIRECTORY...")
		os.Exit(2)
	}
	pattern, err := pattern(os.Args[1:]...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "counted:", err)
		os.Exit(1)
	}
	fmt.Println(pattern)
}

// pattern returns the pattern for the tests in some directories. It is an error if one of them has
// none, because the test of that package would run nothing.
func pattern(dirs ...string) (string, error) {
	var all []string
	for _, dir := range dirs {
		tests, err := counted(dir)
		if err != nil {
			return "", err
		}
		all = append(all, tests...)
	}
	slices.Sort(all)
	return "^(" + strings.Join(slices.Compact(all), "|") + ")$", nil
}

// counted returns the tests in dir that the pattern matches.
func counted(dir string) ([]string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	uses := make(map[string][]string) // by declaration: the identifiers in it
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		collect(uses, file)
	}
	var tests []string
	for name := range uses {
		if strings.HasPrefix(name, "Test") && reaches(uses, name, make(map[string]bool)) {
			tests = append(tests, name)
		}
	}
	if len(tests) == 0 {
		return nil, fmt.Errorf("%s: no test calls mounttest.Count", dir)
	}
	return tests, nil
}

// collect adds the identifiers that each function, method and package-level variable of a file
// contains. A method is listed under its name alone, so a test may be taken for one that counts, but
// no test that counts is missed.
func collect(uses map[string][]string, file *ast.File) {
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			uses[d.Name.Name] = append(uses[d.Name.Name], identifiers(d)...)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.ValueSpec:
					for _, name := range s.Names {
						uses[name.Name] = append(uses[name.Name], identifiers(s)...)
					}
				case *ast.TypeSpec:
					uses[s.Name.Name] = append(uses[s.Name.Name], identifiers(s)...)
				}
			}
		}
	}
}

// identifiers returns the names in n, and "mounttest.Count" if n contains that.
func identifiers(n ast.Node) []string {
	var names []string
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			names = append(names, n.Name)
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "mounttest" && n.Sel.Name == "Count" {
				names = append(names, "mounttest.Count")
			}
		}
		return true
	})
	return names
}

// reaches reports whether the declaration contains mounttest.Count, or refers to one that does.
func reaches(uses map[string][]string, name string, seen map[string]bool) bool {
	if name == "mounttest.Count" {
		return true
	}
	if seen[name] {
		return false
	}
	seen[name] = true
	return slices.ContainsFunc(uses[name], func(used string) bool { return reaches(uses, used, seen) })
}
