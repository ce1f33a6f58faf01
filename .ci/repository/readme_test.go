package repository

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// readmeHead declares the names that the pieces of Go in the README use.
const readmeHead = `package readme

import (
	"archive/zip"
	"io"
	"net/http"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/adapters/httpfs"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

var (
	record      []byte
	offset      int64
	writeReport func(io.Writer) error
	use         = func(...any) {}
)
`

// The pieces of Go in the README compile. The go tool takes a file that is laid over the tree, so
// that nothing is written there.
//
//promise:readme each piece of Go code compiles
func TestReadmeCompiles(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("go is not in PATH")
	}
	text, err := os.ReadFile(filepath.Join(root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	pieces := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(pieces) < 4 {
		t.Fatalf("only %d pieces of Go", len(pieces))
	}
	source := strings.Builder{}
	source.WriteString(readmeHead)
	for i, piece := range pieces {
		body := piece[1]
		if strings.Contains(body, "zr, err :=") {
			body += "use(zr)\n" // which is what the reader goes on with
		}
		if !regexp.MustCompile(`\nreturn .*\n$`).MatchString(body) {
			body += "return nil\n"
		}
		fmt.Fprintf(&source, "\nfunc piece%d() error {\n%s}\n", i, body)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "readme.go")
	if err := os.WriteFile(file, []byte(source.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(root(t), "readme", "readme.go")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {at: file}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(goTool, "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", os.DevNull, "./readme")
	cmd.Dir = root(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, source.String())
	}
}

// Each relative link in a document leads to a file that exists.
func TestLinksOfDocuments(t *testing.T) {
	links := 0
	for _, name := range []string{
		"README.md", "examples/README.md", "benchmarks/results/README.md",
		".github/CONTRIBUTING.md", ".github/CHANGELOG.md", ".github/SECURITY.md",
	} {
		name = filepath.Join(root(t), name)
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range regexp.MustCompile(`\]\(([^)#]+)`).FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), link[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			links++
		}
	}
	if links < 20 {
		t.Errorf("only %d links found", links)
	}
}
