package repository

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each item under "Holds" in SECURITY.md names a test, and each test that SECURITY.md names exists.
func TestSecurity(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), ".github", "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, declared, _ := namesOfTree(t)
	held, item := 0, ""
	holds := false
	end := func() {
		if holds && item != "" {
			held++
			if len(testsOf(item)) == 0 {
				t.Errorf("no test is named: %s", item)
			}
		}
		item = ""
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "  "):
			item += line
		case strings.HasPrefix(line, "- "):
			end()
			item = line
		default:
			end()
			if line != "" {
				holds = line == "Holds:"
			}
		}
	}
	end()
	if held < 15 {
		t.Errorf("only %d items hold", held)
	}
	for _, name := range testsOf(string(text)) {
		if !declared[name] {
			t.Errorf("SECURITY.md names %s, which does not exist", name)
		}
	}
}

// testsOf returns the tests that a text names.
func testsOf(text string) (names []string) {
	for _, span := range codeSpan.FindAllStringSubmatch(text, -1) {
		if testName.MatchString(span[1]) {
			names = append(names, span[1])
		}
	}
	return names
}
