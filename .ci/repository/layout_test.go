package repository

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/mmapsnapshot/mmapsnapshot"

// mayImport lists what each package may import besides the standard library, tests aside.
var mayImport = map[string][]string{
	"syscalls":                            {"golang.org/x/sys/unix"},
	"syscalls/mounttest":                  {"golang.org/x/sys/unix", module + "/syscalls/mounttest/internal/seccomp"},
	"syscalls/mounttest/restrict":         {"golang.org/x/sys/unix", module + "/syscalls/mounttest/internal/seccomp"},
	"syscalls/mounttest/internal/seccomp": {"golang.org/x/sys/unix"},
	"snapshot/internal/sys":               {module + "/syscalls"},
	"snapshot/internal/sys/systest":       floors("retry", "sys"),
	"snapshot/internal/retry":             nil,
	"snapshot/internal/pathname":          floors("retry", "sys"),
	"snapshot/internal/mapped":            floors("sys"),
	"snapshot/internal/privatefile":       floors("pathname", "retry", "sys"),
	"snapshot/internal/defrag":            floors("privatefile", "sys"),
	"snapshot/internal/publish":           floors("pathname", "retry", "sys"),
	"snapshot":                            floors("defrag", "mapped", "pathname", "privatefile", "publish", "retry", "sys"),
	"adapters":                            {module + "/snapshot", module + "/syscalls"},
	"benchmarks":                          nil,
	"benchmarks/internal/interleave":      nil,
	"examples/internal/beside":            nil,
	"examples/quickstart":                 {module + "/snapshot", module + "/adapters"},
	"examples/serve":                      {module + "/snapshot", module + "/adapters"},
}

// floors returns the import paths of packages below snapshot/internal, and of syscalls.
func floors(names ...string) []string {
	paths := []string{module + "/syscalls"}
	for _, name := range names {
		paths = append(paths, module+"/snapshot/internal/"+name)
	}
	return paths
}

// Imports go down only, unsafe stands in the lowest floor alone, and every package has a
// documentation.
func TestLayout(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("go is not in PATH")
	}
	for _, target := range []string{"linux", "darwin"} {
		cmd := exec.Command(goTool, "list", "-json=ImportPath,Imports,Doc", module+"/...")
		cmd.Env = append(os.Environ(), "GOOS="+target, "GOARCH=arm64", "CGO_ENABLED=0")
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for dec := json.NewDecoder(bytes.NewReader(out)); ; {
			var p struct {
				ImportPath, Doc string
				Imports         []string
			}
			if err := dec.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			seen++
			name := strings.TrimPrefix(p.ImportPath, module+"/")
			allowed, known := mayImport[name]
			if !known {
				t.Errorf("%s is not listed here", name)
			}
			if p.Doc == "" {
				t.Errorf("%s has no documentation", name)
			}
			for _, imp := range p.Imports {
				outside := strings.Contains(strings.Split(imp, "/")[0], ".")
				if outside && !slices.Contains(allowed, imp) || imp == "unsafe" && !strings.HasPrefix(name, "syscalls") {
					t.Errorf("%s must not import %s", name, imp)
				}
			}
		}
		if seen < len(mayImport) {
			t.Errorf("%d packages found", seen)
		}
	}
}

// A program that uses this package and not package net must not get it, because with cgo it
// would link the C library.
func TestNoNet(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("go is not in PATH")
	}
	out, err := exec.Command(goTool, "list", "-deps", "../../adapters").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	for _, not := range []string{"net", "net/http", "os/user", "runtime/cgo"} {
		if slices.Contains(deps, not) {
			t.Errorf("it imports %s", not)
		}
	}
	if !slices.Contains(deps, module+"/snapshot") {
		t.Errorf("go list -deps says %v", deps)
	}
}

// The top of the tree holds what a reader expects there and nothing else.
func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"go.mod", "go.sum", "syscalls", "snapshot", "adapters", "benchmarks", "examples", "README.md", "LICENSE"}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(want, e.Name()) {
			t.Errorf("%s does not belong there", e.Name())
		}
	}
	// Users of the module inherit its requirements, so it requires this alone.
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		f := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(f) >= 2 && strings.HasPrefix(f[1], "v") && f[0] != "golang.org/x/sys" {
			t.Errorf("go.mod requires %s", f[0])
		}
	}
}

// What needs more than the module may is a module of its own, below benchmarks or examples, that
// builds with the code beside it.
func TestNestedModules(t *testing.T) {
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "go.mod" || path == filepath.Join("../..", "go.mod") {
			return err
		}
		rel, err := filepath.Rel("../..", filepath.Dir(path))
		if err != nil {
			return err
		}
		mod, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		top, _, _ := strings.Cut(name, "/")
		if top != "benchmarks" && top != "examples" {
			t.Errorf("%s: no module belongs there", path)
		}
		back := strings.Repeat("/..", strings.Count(name, "/")+1)[1:]
		lines := strings.Split(string(mod), "\n")
		if line := "module " + module + "/" + name; !slices.Contains(lines, line) {
			t.Errorf("%s: no line %q", path, line)
		}
		if !strings.Contains(string(mod), module+" v") {
			return nil
		}
		if top == "examples" {
			// go install refuses a module that replaces another, and takes no notice of go.work.
			if strings.Contains(string(mod), "replace") {
				t.Errorf("%s: its programs could not be installed", path)
			}
			work, err := os.ReadFile(filepath.Join(filepath.Dir(path), "go.work"))
			if err != nil {
				return err
			}
			lines = strings.Split(string(work), "\n")
		}
		if line := "replace " + module + " => " + back; !slices.Contains(lines, line) {
			t.Errorf("%s: no line %q there or in go.work", path, line)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		// TestTopLevel sees to what is required. A replacement would make the module unusable for
		// others, and sums beyond that one mean that something has leaked.
		for line := range strings.Lines(string(b)) {
			leaked := name == "go.sum" && !strings.HasPrefix(line, "golang.org/x/sys ")
			if leaked || strings.HasPrefix(line, "replace") {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}
