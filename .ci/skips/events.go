package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// An event is one line of go test -json. Its fields are described by go doc test2json and go help
// buildjson.
type event struct {
	Action     string
	Package    string
	Test       string
	Output     string
	ImportPath string // instead of Package, for the output of the compiler
}

// events calls f for each event. A line that is no event becomes an event of action "output" that
// belongs to no package, because go test passes on what it does not understand.
func events(r io.Reader, f func(e event)) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if !bytes.HasPrefix(line, []byte("{")) || json.Unmarshal(line, &e) != nil {
				e = event{Action: "output", Output: string(line)}
			}
			f(e)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
