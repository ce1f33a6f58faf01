package adapters_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
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
	"syscalls":                       {"golang.org/x/sys/unix"},
	"syscalls/mounttest":             {"golang.org/x/sys/unix"},
	"snapshot":                       {module + "/syscalls"},
	"adapters":                       {module + "/snapshot"},
	"benchmarks":                     nil,
	"benchmarks/internal/interleave": nil,
	"examples/quickstart":            {module + "/snapshot", module + "/adapters"},
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

// The top of the tree holds what a reader expects there and nothing else.
func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"go.mod", "go.sum", "syscalls", "snapshot", "adapters", "benchmarks", "examples", "README.md", "LICENSE"}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(want, e.Name()) {
			t.Errorf("%s does not belong there", filepath.Join("..", e.Name()))
		}
	}
	// The module needs no more than these two.
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		if f := strings.Fields(line); len(f) >= 2 && strings.HasPrefix(f[1], "v") &&
			f[0] != "golang.org/x/sys" && f[0] != "golang.org/x/exp" {
			t.Errorf("go.mod requires %s", f[0])
		}
	}
}
