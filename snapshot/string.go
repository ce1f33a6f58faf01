package snapshot

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// String describes the snapshot in one line, for logs: the name, quoted; the size; how the private
// copy was made and where it lies; and, in parentheses, why it is no reflink in the directory of
// the file.
//
//	"data.bin": 300000 bytes, leased copy in the directory of the file (ficlone: operation not supported)
//
// The text can change in any version of this package.
func (m *Mmap) String() string {
	if !m.isValid() {
		return noSnapshot
	}
	return m.describe()
}

// String describes the snapshot in one line: see [Mmap.String].
func (m *MmapMut) String() string {
	if !m.isValid() {
		return noSnapshot
	}
	return m.describe()
}

const noSnapshot = "no snapshot" // nil or zero

func (s *source) describe() string {
	how, where := s.method.String()+" ", s.where
	switch {
	case s.method == None:
		how = ""
	case s.leased != nil && s.leased.IsOriginal():
		where = "on the file itself"
	case s.leased != nil:
		where = "that ended, with a private copy"
	}
	size := strconv.FormatInt(s.size(), 10)
	text := strconv.Quote(s.name) + ": " + size + " bytes, " + how + printable(where)
	if s.closed.Load() {
		text += ", closed"
	}
	return text
}

// printable quotes a text that is more than a line, or that a terminal may take for a command: the
// name of a TempDir is in it.
func printable(text string) string {
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}
