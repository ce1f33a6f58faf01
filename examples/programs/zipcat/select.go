package main

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
)

// patterns choose members. The value tells whether the pattern has matched.
type patterns map[string]bool

// newPatterns checks the patterns, and reads those that are to come from in.
func newPatterns(args []string, in io.Reader) (patterns, error) {
	ps := patterns{}
	add := func(p string) error {
		if _, err := path.Match(p, ""); err != nil {
			return program.Usage("%q: %w", p, err)
		}
		ps[p] = false
		return nil
	}
	for _, arg := range args {
		if arg != "-" {
			if err := add(arg); err != nil {
				return nil, err
			}
			continue
		}
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, 1<<20) // a name in a zip archive has 64 KiB at most
		for lines.Scan() {
			if lines.Text() == "" {
				continue
			}
			if err := add(lines.Text()); err != nil {
				return nil, err
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		if len(ps) == 0 {
			return nil, errors.New("standard input: no patterns") // and not: all members
		}
	}
	return ps, nil
}

// choose returns the members that match a pattern, or all if there is none, and an error that
// names the patterns that match nothing.
func (ps patterns) choose(members []*zip.File) (chosen []*zip.File, err error) {
	if len(ps) == 0 {
		return members, nil
	}
	for _, f := range members {
		found := false
		for p := range ps {
			if match(p, f.Name) {
				ps[p], found = true, true
			}
		}
		if found {
			chosen = append(chosen, f)
		}
	}
	var errs []error // joined once: errors in errors take a time that grows by the square
	for _, p := range slices.Sorted(maps.Keys(ps)) {
		if !ps[p] {
			errs = append(errs, fmt.Errorf("no member matches %q", p))
		}
	}
	return chosen, errors.Join(errs...)
}

func match(pattern, name string) bool {
	if strings.HasPrefix(name, strings.TrimSuffix(pattern, "/")+"/") {
		return true
	}
	ok, _ := path.Match(pattern, name) // newPatterns has seen to the error
	return ok
}
