// Promises prints the promises of the module and the tests that fail if they are broken, by
// symbol. An argument prints those of the symbols that begin with it.
//
//	go run ./.ci/promises snapshot.MmapMut
package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mmapsnapshot/mmapsnapshot/.ci/internal/promise"
	"github.com/mmapsnapshot/mmapsnapshot/.ci/internal/tree"
)

func main() {
	if len(os.Args) > 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./.ci/promises [symbol prefix]")
		os.Exit(2)
	}
	if err := run(os.Stdout, strings.Join(os.Args[1:], "")); err != nil {
		fmt.Fprintln(os.Stderr, "promises:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, prefix string) error {
	root, err := tree.Root()
	if err != nil {
		return err
	}
	promises, err := promise.ReadTree(root)
	if err != nil {
		return err
	}
	return write(w, promises, prefix)
}

// write prints each symbol with its promises below it.
func write(w io.Writer, promises []promise.Promise, prefix string) error {
	last := ""
	for _, p := range promises {
		if !strings.HasPrefix(p.Symbol, prefix) {
			continue
		}
		if p.Symbol != last {
			separator := "\n"
			if last == "" {
				separator = ""
			}
			if _, err := fmt.Fprintf(w, "%s%s\n", separator, p.Symbol); err != nil {
				return err
			}
			last = p.Symbol
		}
		_, err := fmt.Fprintf(w, "\t%s\n\t\t%s:%d %s\n", p.Text, p.Pos.Filename, p.Pos.Line, p.Test)
		if err != nil {
			return err
		}
	}
	if last == "" {
		return fmt.Errorf("no promise of a symbol that begins with %q", prefix)
	}
	return nil
}
