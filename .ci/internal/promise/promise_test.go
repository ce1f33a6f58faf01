package promise

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const tests = `package p

// TestA tests.
//
//promise:p.A it holds
//promise:p.B it holds, too
//go:noinline
func TestA(t *testing.T) {}

//promise:readme fuzzing finds nothing
func FuzzA(f *testing.F) {}

//promise:p.A the example prints
func ExampleA_method() {}

//promise:p.T.M it is fast
func BenchmarkA(b *testing.B) {}

// A promise of another test is no directive:
//
//	//promise:p.A in code
func Test(t *testing.T) {}
`

func TestRead(t *testing.T) {
	promises, err := Read("a_test.go", []byte(tests))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range promises {
		got = append(got, fmt.Sprintf("%v %s %s %s", p.Pos, p.Test, p.Symbol, p.Text))
	}
	want := []string{
		"a_test.go:5:1 TestA p.A it holds",
		"a_test.go:6:1 TestA p.B it holds, too",
		"a_test.go:10:1 FuzzA readme fuzzing finds nothing",
		"a_test.go:13:1 ExampleA_method p.A the example prints",
		"a_test.go:16:1 BenchmarkA p.T.M it is fast",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestReadMalformed(t *testing.T) {
	const notAbove = "not above a test, a fuzz test, an example or a benchmark"
	for source, want := range map[string]string{
		"//promise:p.A\nfunc TestA() {}":                   "no text",
		"//promise:p.A \t \nfunc TestA() {}":               "no text",
		"// promise:p.A it holds\nfunc TestA() {}":         "not a directive",
		"//promise: p.A it holds\nfunc TestA() {}":         "not a directive",
		"//promise:README it holds\nfunc TestA() {}":       "not a directive",
		"//promise:p.A it holds\nfunc helper() {}":         notAbove,
		"//promise:p.A it holds\nfunc Testament() {}":      notAbove,
		"//promise:p.A it holds\nfunc TestMain() {}":       notAbove,
		"//promise:p.A it holds\nfunc (T) TestA() {}":      notAbove,
		"//promise:p.A it holds\n\nfunc TestA() {}":        notAbove,
		"//promise:p.A it holds\nvar TestA int":            notAbove,
		"func TestA() {\n\t//promise:p.A it holds\n\n}":    notAbove,
		"//promise:p.A it holds\nfunc TestÄ() {":           "expected '}'",
		"//promise:p.A it holds\ntype TestA struct{ A T }": notAbove,
	} {
		promises, err := Read("a_test.go", []byte("package p\n\n"+source+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) || len(promises) > 0 {
			t.Errorf("%q: %v, %v, want %q", source, promises, err, want)
		}
	}
	// A file that go test does not compile has no tests.
	_, err := Read("a.go", []byte(tests))
	if err == nil || strings.Count(err.Error(), notAbove) != 5 {
		t.Error(err)
	}
}

func TestReadTree(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"z_test.go":            "package p\n\n//promise:p.A z\nfunc TestZ() {}\n",
		"nested/b_test.go":     "package p\n\n//promise:p.A b\n//promise:o.A b\nfunc TestB() {}\n",
		"nested/go.mod":        "module nested\n",
		"testdata/bad_test.go": "no Go",
		"nested/bad_test.go":   "package p\n\n//promise:p.A\nfunc TestBad() {}\n",
		"notes.txt":            "//promise:p.A notes\n",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	promises, err := ReadTree(dir)
	const problem = "nested/bad_test.go:3:1: no text: //promise:p.A"
	if err == nil || !strings.HasPrefix(err.Error(), problem) {
		t.Error(err)
	}
	var got []string
	for _, p := range promises {
		got = append(got, fmt.Sprintf("%s %v", p.Symbol, p.Pos))
	}
	want := []string{"o.A nested/b_test.go:4:1", "p.A nested/b_test.go:3:1", "p.A z_test.go:3:1"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// load returns a package with one source file and no imports.
func load(t *testing.T, source string) *types.Package {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := new(types.Config).Check("example.com/p", set, []*ast.File{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}

func TestCheck(t *testing.T) {
	const source = `package p

const Const, private = 1, 2

var ErrVar error

func Func() {}
func helper() {}

type inner struct{}
func (*inner) Promoted() {}
func (inner) hidden() {}

type Struct struct { Field int; inner }
func (Struct) Method() {}

type Config struct { Option, option int }

type Interface interface { Call() }

type Alias = Struct
`
	symbols := Symbols{"readme": false}
	symbols.Add(load(t, source), "p.Config")
	var promises []Promise
	check := func(want ...string) {
		t.Helper()
		if got := symbols.Check(promises); !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	none := []string{
		"p.Alias has no promise",
		"p.Alias.Method has no promise",
		"p.Alias.Promoted has no promise",
		"p.Config has no promise",
		"p.Config.Option has no promise",
		"p.ErrVar has no promise",
		"p.Func has no promise",
		"p.Interface has no promise",
		"p.Struct has no promise",
		"p.Struct.Method has no promise",
		"p.Struct.Promoted has no promise",
	}
	check(none...)
	// These may have promises and need none.
	may := []string{"p", "readme", "p.Const", "p.Struct.Field", "p.Interface.Call"}
	for _, symbol := range may {
		promises = append(promises, Promise{Symbol: symbol})
	}
	check(none...)
	for _, problem := range none {
		symbol, _, _ := strings.Cut(problem, " ")
		promises = append(promises, Promise{Symbol: symbol})
	}
	check()
	unknown := []string{"p.private", "p.helper", "p.Struct.hidden", "p.Config.option", "p.None", "q"}
	var want []string
	for i, symbol := range unknown {
		at := token.Position{Filename: "p_test.go", Line: i + 1}
		promises = append(promises, Promise{Symbol: symbol, Pos: at})
		want = append(want, fmt.Sprintf("p_test.go:%d: no symbol %s", i+1, symbol))
	}
	check(want...)
}
