package repository

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/.ci/internal/tree"
)

var (
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	testName = regexp.MustCompile(`^(Test|Fuzz)[A-Z]\w*$`)
)

// namesOfTree returns the files of the repository, as paths and as base names; the functions,
// types, variables and constants that Go files declare; and the words of Go files and of the steps.
func namesOfTree(t *testing.T) (files, declared, words map[string]bool) {
	t.Helper()
	files, declared, words = map[string]bool{}, map[string]bool{}, map[string]bool{}
	word := regexp.MustCompile(`\w+`)
	err := tree.Walk(root(t), func(name string) error {
		files[name], files[path.Base(name)] = true, true
		if path.Ext(name) != ".go" && name != ".ci/steps" {
			return nil
		}
		source, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		for _, w := range word.FindAllString(string(source), -1) {
			words[w] = true
		}
		if path.Ext(name) == ".go" {
			file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			addDeclared(declared, file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, declared, words
}

// addDeclared adds the names that a file declares at its top, alone and after the package.
func addDeclared(declared map[string]bool, file *ast.File) {
	add := func(name string) {
		declared[name], declared[file.Name.Name+"."+name] = true, true
	}
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil {
				add(decl.Name.Name)
				continue
			}
			receiver := decl.Recv.List[0].Type
			if pointer, ok := receiver.(*ast.StarExpr); ok {
				receiver = pointer.X
			}
			if name, ok := receiver.(*ast.Ident); ok {
				add(name.Name + "." + decl.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					add(spec.Name.Name)
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						add(name.Name)
					}
				}
			}
		}
	}
}
