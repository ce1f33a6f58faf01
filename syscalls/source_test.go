package syscalls_test

import (
	"go/ast"
	"go/build/constraint"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The portable files own the exported names, so that all systems have the same.
func TestPlatformFilesExportNothing(t *testing.T) {
	_, linux, other := functions(t)
	for _, files := range []map[string]*ast.FuncDecl{linux, other} {
		for name := range files {
			if ast.IsExported(name) {
				t.Errorf("%s is exported by a file for one platform", name)
			}
		}
	}
}

// Off Linux, each operation returns errOther and no other error, nor success.
func TestStubsReturnErrOther(t *testing.T) {
	_, _, other := functions(t)
	for name, f := range other {
		if !returns(f, "error") {
			t.Errorf("%s returns no error", name)
			continue
		}
		var last ast.Expr
		if len(f.Body.List) == 1 {
			if ret, ok := f.Body.List[0].(*ast.ReturnStmt); ok && len(ret.Results) > 0 {
				last = ret.Results[len(ret.Results)-1]
			}
		}
		if last == nil || !isType(last, "errOther") {
			t.Errorf("%s does more than return errOther, or less", name)
		}
	}
}

// A file for Linux alone has a name that says so, here and below. A go:build line says only what a
// name cannot.
func TestOneFormOfPlatformGate(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") {
			return err
		}
		seen++
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var line string
		for l := range strings.Lines(string(source)) {
			if constraint.IsGoBuild(l) {
				line = strings.TrimSpace(l)
			}
		}
		base := strings.TrimSuffix(strings.TrimSuffix(name, ".go"), "_test")
		if byName := strings.HasSuffix(base, "_linux"); byName && line != "" {
			t.Errorf("%s has also the line %s", name, line)
		}
		if line == "//go:build linux" {
			t.Errorf("%s: instead of %s, let the name end in _linux", name, line)
		}
		return nil
	})
	if err != nil || seen == 0 {
		t.Errorf("%d files; %v", seen, err)
	}
}
