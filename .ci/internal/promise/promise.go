// Package promise reads promises from the doc comments of tests, and checks them against the
// exported symbols of the module.
//
// A promise is a directive of the form
//
//	//promise:snapshot.MmapMut.Commit after a crash the file is the old or the new one, whole
//
// above a test that fails if the promise is broken, or above a benchmark that measures it. It
// consists of a symbol and a sentence.
package promise

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mmapsnapshot/mmapsnapshot/.ci/internal/tree"
)

// A Promise is one directive.
type Promise struct {
	Symbol string // as in snapshot.MmapMut.Commit
	Text   string
	Test   string         // name of the function below the directive
	Pos    token.Position // of the directive
}

// ReadTree returns the promises in all Go files below root, sorted by symbol, nested modules
// included. File names are relative to root. The error joins all malformed directives.
func ReadTree(root string) ([]Promise, error) {
	var promises []Promise
	var errs []error
	err := tree.Walk(root, func(name string) error {
		if filepath.Ext(name) != ".go" {
			return nil
		}
		source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		found, err := Read(name, source)
		promises, errs = append(promises, found...), append(errs, err)
		return nil
	})
	slices.SortStableFunc(promises, func(a, b Promise) int {
		return strings.Compare(a.Symbol, b.Symbol)
	})
	return promises, errors.Join(append(errs, err)...)
}

// Read returns the promises in one Go file. The error joins all malformed directives: those without
// a symbol or a text, and those not in the doc comment of a test, a fuzz test, an example or a
// benchmark.
func Read(name string, source []byte) (promises []Promise, err error) {
	set := token.NewFileSet()
	const mode = parser.ParseComments | parser.SkipObjectResolution
	file, err := parser.ParseFile(set, name, source, mode)
	if err != nil {
		return nil, err
	}
	tests := map[*ast.CommentGroup]string{}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if ok && f.Doc != nil && strings.HasSuffix(name, "_test.go") && isTest(f) {
			tests[f.Doc] = f.Name.Name
		}
	}
	var errs []error
	for _, group := range file.Comments {
		test := tests[group]
		for _, c := range group.List {
			if !mentions(c.Text) {
				continue
			}
			p, problem := parse(c, test)
			p.Pos = set.Position(c.Slash)
			if problem != "" {
				errs = append(errs, fmt.Errorf("%v: %s: %s", p.Pos, problem, c.Text))
				continue
			}
			promises = append(promises, p)
		}
	}
	return promises, errors.Join(errs...)
}

// mentions reports whether a comment is a promise or looks like an attempt at one. The code in a
// doc comment, which a tab indents, is neither.
func mentions(comment string) bool {
	text, ok := strings.CutPrefix(comment, "//")
	text, promise := strings.CutPrefix(strings.TrimLeft(text, " "), "promise")
	return ok && promise && strings.HasPrefix(strings.TrimLeft(text, " "), ":")
}

func parse(c *ast.Comment, test string) (p Promise, problem string) {
	d, ok := ast.ParseDirective(c.Slash, c.Text)
	switch {
	case !ok || d.Tool != "promise":
		return p, "not a directive, which has the form //promise:symbol text"
	case d.Args == "":
		return p, "no text"
	case test == "":
		return p, "not above a test, a fuzz test, an example or a benchmark"
	}
	return Promise{Symbol: d.Name, Text: d.Args, Test: test}, ""
}

// isTest reports whether go test runs a function, by its name.
func isTest(f *ast.FuncDecl) bool {
	if f.Recv != nil || f.Name.Name == "TestMain" {
		return false
	}
	for _, prefix := range []string{"Test", "Fuzz", "Example", "Benchmark"} {
		if rest, ok := strings.CutPrefix(f.Name.Name, prefix); ok {
			first, _ := utf8.DecodeRuneInString(rest)
			return rest == "" || !unicode.IsLower(first)
		}
	}
	return false
}
