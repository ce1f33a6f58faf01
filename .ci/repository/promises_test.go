package repository

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every test that .github/PROMISES.md names is there, in the file it names.
func TestPromises(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), ".github", "PROMISES.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir, rows := "", 0
	for line := range strings.Lines(string(text)) {
		if section, ok := strings.CutPrefix(line, "## "); ok {
			dir = strings.TrimSpace(section)
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 3 || strings.HasPrefix(line, "|---") || strings.TrimSpace(cells[1]) == "file" {
			continue
		}
		name, test := strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])
		file := filepath.Join(root(t), dir, name)
		if external, ok := strings.CutPrefix(name, "ext. "); ok {
			file = filepath.Join(root(t), "benchmarks", "external", external)
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
			continue
		}
		if ok, _ := regexp.Match(`(?m)^func `+regexp.QuoteMeta(test)+`\(`, source); !ok {
			t.Errorf("%s has no %s", file, test)
		}
		rows++
	}
	if rows < 100 {
		t.Errorf("only %d promises found", rows)
	}
}
