package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A report counts the tests of a package, subtests among them.
type report struct {
	passed, failed, skipped int
	why                     map[string][]string // the tests skipped for each reason
	openings                string              // what TestWaysOfOpening logged
	output                  map[string]string   // of tests that have not ended
}

// printSkips prints for each package how many tests passed, in which ways they opened files, if
// they log that, and, most frequent first, for which reasons tests were skipped.
func printSkips(w io.Writer, r io.Reader) error {
	var packages []string
	reports := map[string]*report{}
	err := events(r, func(e event) {
		if e.Test == "" {
			return
		}
		p := reports[e.Package]
		if p == nil {
			p = &report{why: map[string][]string{}, output: map[string]string{}}
			reports[e.Package] = p
			packages = append(packages, e.Package)
		}
		switch e.Action {
		case "output":
			p.output[e.Test] += e.Output
			return
		case "pass":
			p.passed++
			if e.Test == "TestWaysOfOpening" {
				p.openings = reason(p.output[e.Test])
			}
		case "fail":
			p.failed++
		case "skip":
			p.skipped++
			why := reason(p.output[e.Test])
			p.why[why] = append(p.why[why], e.Test)
		default:
			return
		}
		delete(p.output, e.Test)
	})
	if err != nil {
		return err
	}
	if len(packages) == 0 {
		return errors.New("no tests in the input; it has to be the output of go test -json")
	}
	slices.Sort(packages)
	for _, name := range packages {
		reports[name].print(w, name)
	}
	return nil
}

func (p *report) print(w io.Writer, name string) {
	fmt.Fprintf(w, "%s: %d passed", name, p.passed)
	if p.failed > 0 {
		fmt.Fprintf(w, ", %d failed", p.failed)
	}
	fmt.Fprintf(w, ", %d skipped\n", p.skipped)
	if p.openings != "" {
		fmt.Fprintf(w, "        %s\n", p.openings)
	}
	reasons := slices.SortedFunc(maps.Keys(p.why), func(a, b string) int {
		return cmp.Or(len(p.why[b])-len(p.why[a]), strings.Compare(a, b))
	})
	for _, why := range reasons {
		fmt.Fprintf(w, "%6d  %s (%s)\n", len(p.why[why]), why, some(p.why[why]))
	}
}

// some names the functions of the tests: all of them, if they are three at most.
func some(tests []string) string {
	var names []string
	for _, test := range tests {
		name, _, _ := strings.Cut(test, "/")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if more := len(names) - 2; more > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:2], ", "), more)
	}
	return strings.Join(names, ", ")
}

// logged matches the first line of what a test logs, and the file and line before it.
var logged = regexp.MustCompile(`^ +[^ :]+\.go:[0-9]+: ?`)

// reason returns the message of a test that was skipped or passed, as one line: its last one, and
// with it any lines that follow before the verdict.
func reason(output string) string {
	var message []string
	for line := range strings.Lines(output) {
		text := strings.TrimSpace(line)
		switch {
		case logged.MatchString(line):
			message = []string{strings.TrimSpace(logged.ReplaceAllString(line, ""))}
		case text == "" || strings.HasPrefix(text, "=== ") || strings.HasPrefix(text, "--- "):
		case message != nil:
			message = append(message, text)
		}
	}
	if message == nil {
		return "no reason given"
	}
	return strings.Join(message, " ")
}
