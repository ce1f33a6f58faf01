// Skips reads the output of go test -json, from files or standard input, and prints for each
// package how many tests passed and which ones were skipped, grouped by the reason. With -results
// it prints instead what go test prints without -json, as it arrives, and fails if a test failed.
//
//	go test -json ./... | tee test.json | go run ./.ci/skips -results
//	go run ./.ci/skips test.json
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	results := flag.Bool("results", false, "print results as go test does, not the skipped tests")
	flag.Parse()
	if err := run(*results, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "skips:", err)
		os.Exit(1)
	}
}

func run(results bool, names []string) error {
	in := io.Reader(os.Stdin)
	if len(names) > 0 {
		var files []io.Reader
		for _, name := range names {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			files = append(files, f)
		}
		in = io.MultiReader(files...)
	}
	if results {
		return printResults(os.Stdout, in)
	}
	return printSkips(os.Stdout, in)
}
