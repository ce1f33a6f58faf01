package program

import (
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Name is the name of a file, in JSON. Those are strings of bytes, and encoding/json replaces
// what is not UTF-8; so such a name is written as a Go string literal, quotes included.
type Name string

// MarshalText implements encoding.TextMarshaler.
func (n Name) MarshalText() ([]byte, error) {
	if !utf8.ValidString(string(n)) || strings.HasPrefix(string(n), `"`) {
		return strconv.AppendQuote(nil, string(n)), nil
	}
	return []byte(n), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *Name) UnmarshalText(text []byte) error {
	if len(text) == 0 || text[0] != '"' {
		*n = Name(text)
		return nil
	}
	s, err := strconv.Unquote(string(text))
	*n = Name(s)
	return err
}

// Printable returns s if it can be shown on a terminal as it is, else quoted. Whoever made an
// archive chose the names in it, and may have put commands to the terminal there.
func Printable(s string) string {
	bad := func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }
	if strings.ContainsFunc(s, bad) {
		return strconv.QuoteToGraphic(s)
	}
	return s
}

// SplitName returns the directory that the file name is in, and its name there. It does not clean
// them as filepath.Dir does: "link/../x" is not "x" to the kernel.
func SplitName(name string) (dir, base string) {
	dir, base = path.Split(strings.TrimRight(name, "/"))
	if dir == "" {
		dir = "."
	}
	return dir, base
}
