package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// An outputs is what the tests of a package have printed, until they pass. The test "" stands for
// the package itself.
type outputs struct {
	tests []string // in the order of their first line
	text  map[string]string
}

func (o *outputs) add(test, text string) {
	if _, ok := o.text[test]; !ok {
		o.tests = append(o.tests, test)
	}
	o.text[test] += text
}

func (o *outputs) print(w io.Writer) {
	for _, test := range o.tests {
		if test != "" {
			fmt.Fprint(w, o.text[test])
		}
	}
	fmt.Fprint(w, o.text[""])
}

// printResults prints what go test prints without -json and -v: the output of the compiler, of the
// tests that failed or did not end, and one line for each package.
func printResults(w io.Writer, r io.Reader) error {
	packages := map[string]*outputs{}
	ended, failed := 0, 0
	err := events(r, func(e event) {
		o := packages[e.Package]
		if o == nil {
			o = &outputs{text: map[string]string{}}
			packages[e.Package] = o
		}
		switch e.Action {
		case "build-output":
			fmt.Fprint(w, e.Output)
		case "output":
			if e.Package == "" || e.Test == "" && isResult(e.Output, e.Package) {
				fmt.Fprint(w, e.Output)
			} else if !strings.HasPrefix(e.Output, "=== ") {
				o.add(e.Test, e.Output)
			}
		case "pass", "skip", "fail":
			switch {
			case e.Test == "":
				ended++
				if e.Action == "fail" {
					failed++
					o.print(w)
				}
				delete(packages, e.Package)
			case e.Action != "fail":
				delete(o.text, e.Test)
			}
		}
	})
	switch {
	case err != nil:
		return err
	case ended == 0:
		return errors.New("no results")
	case failed > 0:
		return fmt.Errorf("%d of %d packages failed", failed, ended)
	}
	return nil
}

// isResult reports whether a line is the one with which go test ends a package that did not fail.
func isResult(line, pkg string) bool {
	status, rest, ok := strings.Cut(line, pkg)
	return ok && (status == "ok  \t" || status == "?   \t" || status == "\t") &&
		strings.HasPrefix(rest, "\t")
}
