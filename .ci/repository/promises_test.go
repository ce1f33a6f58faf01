package repository

import (
	"errors"
	"go/importer"
	"go/token"
	"io"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/.ci/internal/promise"
	"github.com/mmapsnapshot/mmapsnapshot/.ci/internal/tree"
)

// api lists the packages whose exported symbols need promises.
var api = []string{"syscalls", "syscalls/mounttest", "snapshot", "adapters", "adapters/httpfs"}

// Each exported symbol has a promise, each promise is of a symbol that exists, and each promise is
// well formed. Go run ./.ci/promises prints them.
func TestPromises(t *testing.T) {
	promises, err := promise.ReadTree(root(t))
	if err != nil {
		t.Error(err)
	}
	for _, problem := range symbols(t).Check(promises) {
		t.Error(problem)
	}
}

// symbols returns the exported symbols of the api, readme, and the directories that have Go files.
func symbols(t *testing.T) promise.Symbols {
	t.Helper()
	all := promise.Symbols{"readme": false}
	err := tree.Walk(root(t), func(name string) error {
		if dir := path.Dir(name); path.Ext(name) == ".go" && dir != "." {
			all[dir] = false
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-export", "-deps", "-f={{.ImportPath}} {{.Export}}"}
	for _, name := range api {
		args = append(args, tree.Module+"/"+name)
	}
	compiled := map[string]string{}
	for line := range strings.Lines(string(goList(t, []string{"GOOS=linux"}, args...))) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		compiled[name] = file
	}
	lookup := func(name string) (io.ReadCloser, error) {
		if compiled[name] == "" {
			return nil, errors.New("go list -export names no file")
		}
		return os.Open(compiled[name])
	}
	imports := importer.ForCompiler(token.NewFileSet(), "gc", lookup)
	for _, name := range api {
		pkg, err := imports.Import(tree.Module + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		all.Add(pkg, "snapshot.Config")
	}
	return all
}
