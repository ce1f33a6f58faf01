package mounttest_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// WantBytes, WantFile and WantNames pass if all is as it should be, and say what differs if not.
//
//promise:mounttest.WantFile a file with other contents fails the test
//promise:mounttest.WantBytes other bytes fail the test
//promise:mounttest.WantNames other names in the directory fail the test
//promise:mounttest.NamesIn the names are those of the directory, sorted
func TestWant(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "b")
	for _, file := range []string{name, filepath.Join(dir, "a")} {
		if err := os.WriteFile(file, []byte("contents"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := mounttest.NamesIn(t, dir); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("NamesIn: %q", got)
	}
	for _, c := range []struct {
		check func(tb testing.TB)
		fails string // "" if the check passes
	}{
		{func(tb testing.TB) { mounttest.WantBytes(tb, "it", []byte("ab"), []byte("ab")) }, ""},
		{func(tb testing.TB) { mounttest.WantBytes(tb, "it", []byte("ab"), []byte("ac")) },
			"it: 2 bytes, want 2; they differ from byte 1 on"},
		{func(tb testing.TB) { mounttest.WantBytes(tb, "it", []byte("ab"), []byte("abc")) },
			"it: 2 bytes, want 3; they differ from byte 2 on"},
		{func(tb testing.TB) { mounttest.WantFile(tb, name, []byte("contents")) }, ""},
		{func(tb testing.TB) { mounttest.WantFile(tb, name, []byte("content")) },
			name + ": 8 bytes, want 7; they differ from byte 7 on"},
		{func(tb testing.TB) { mounttest.WantFile(tb, name+"2", nil) }, name + "2"},
		{func(tb testing.TB) { mounttest.WantNames(tb, dir, "a", "b") }, ""},
		{func(tb testing.TB) { mounttest.WantNames(tb, dir, "a") }, `["a" "b"], want ["a"]`},
		{func(tb testing.TB) { mounttest.WantNames(tb, dir) }, `["a" "b"], want []`},
		{func(tb testing.TB) { mounttest.WantNames(tb, filepath.Join(dir, "none")) }, "none"},
	} {
		tb := fake(t, c.check)
		if c.fails != "" {
			tb.wantFailure(t, c.fails)
		} else if tb.failed != "" {
			t.Errorf("failed with %q", tb.failed)
		}
	}
}
