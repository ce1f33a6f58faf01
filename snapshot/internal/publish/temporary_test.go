package publish

import (
	"errors"
	"io/fs"
	"slices"
	"testing"
)

// Two files whose commits run side by side do not take each other's temporary names.
//
//promise:snapshot.MmapMut.Commit temporary names are .<hash>.mmapsnapshot-<k>
func TestTemporaryNamesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, base := range []string{"a", "b", "A", "a ", "aa"} {
		if s := TempName(base); seen[s] || len(s) > 40 {
			t.Error(s)
		} else {
			seen[s] = true
		}
	}
}

// The first name to be tried is the fixed one, twice if a leftover was removed; the others are
// random, and there is an end to them.
//
//promise:snapshot.MmapMut.Commit commits that run at the same time use different temporary names
func TestTemporaryNamesTried(t *testing.T) {
	for _, cleared := range []bool{false, true} {
		var tried []string
		err := withTempName("f",
			func(name string) bool {
				if !slices.Equal(tried, []string{TempName("f")}) || name != TempName("f") {
					t.Errorf("%s is cleared after %q", name, tried)
				}
				return cleared
			},
			func(name string) error {
				tried = append(tried, name)
				return fs.ErrExist
			})
		fixed := 1
		if cleared {
			fixed = 2
		}
		if !errors.Is(err, fs.ErrExist) || len(tried) != fixed+randomNames || tried[fixed-1] != TempName("f") {
			t.Fatalf("%v after %d names", err, len(tried))
		}
		slices.Sort(tried[fixed:])
		if len(slices.Compact(tried[fixed:])) != randomNames || slices.Contains(tried[fixed:], TempName("f")) {
			t.Errorf("names come twice: %q", tried[fixed:])
		}
	}
}
