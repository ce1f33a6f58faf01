package repository

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	fileName   = regexp.MustCompile(`^[a-z.][\w./-]+\.(go|sh|yml|md|work)$`)
	dottedName = regexp.MustCompile(`^\w+(\.\w+)+$`)
	plainName  = regexp.MustCompile(`^\w+$`)
)

// Each test and each file that CONTRIBUTING.md names exists. In the section about the source, so
// does each name: a dotted one is a declaration of the root module, such as T.M, p.F or p.T.M, and
// another one is a word of the source.
func TestContributing(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), ".github", "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## Reading the source\n")
	section, _, closed := strings.Cut(section, "\n## ")
	if !found || !closed {
		t.Fatal("no section about the source")
	}
	files, declared, words := namesOfTree(t)
	checked := 0
	check := func(text string, kind *regexp.Regexp, known map[string]bool) {
		for _, span := range codeSpan.FindAllStringSubmatch(text, -1) {
			isFile := kind != fileName && fileName.MatchString(span[1])
			if !kind.MatchString(span[1]) || isFile {
				continue
			}
			checked++
			if !known[span[1]] {
				t.Errorf("CONTRIBUTING.md names %s, which does not exist", span[1])
			}
		}
	}
	check(string(text), testName, declared)
	check(string(text), fileName, files)
	check(section, dottedName, declared)
	check(section, plainName, words)
	if checked < 100 {
		t.Errorf("only %d names were checked", checked)
	}
}
