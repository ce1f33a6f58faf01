package mounttest

import (
	"bytes"
	"os"
	"slices"
	"testing"
)

// WantBytes fails the test if got is not want, with a message that begins with what and
// names the first byte that differs.
func WantBytes(tb testing.TB, what string, got, want []byte) {
	tb.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	tb.Errorf("%s: %d bytes, want %d; they differ from byte %d on", what, len(got), len(want), at)
}

// WantFile fails the test if the file does not contain exactly want.
func WantFile(tb testing.TB, name string, want []byte) {
	tb.Helper()
	got, err := os.ReadFile(name)
	if err != nil {
		tb.Error(err)
		return
	}
	WantBytes(tb, name, got, want)
}

// NamesIn returns the names in a directory, sorted.
func NamesIn(tb testing.TB, dir string) (names []string) {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// WantNames fails the test if the names in a directory are not exactly want, which is sorted.
func WantNames(tb testing.TB, dir string, want ...string) {
	tb.Helper()
	if names := NamesIn(tb, dir); !slices.Equal(names, want) {
		tb.Errorf("names in %s: %q, want %q", dir, names, want)
	}
}
