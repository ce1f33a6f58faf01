package syscalls_test

import (
	"go/ast"
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
