package publish

import "testing"

// Two files whose commits run side by side do not take each other's temporary names, nor do two
// commits of one file.
//
//promise:snapshot.MmapMut.Commit temporary names are .<hash>.mmapsnapshot-<k>, with k below 8
//promise:snapshot.MmapMut.Commit commits that run at the same time use different temporary names
func TestTemporaryNamesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, base := range []string{"a", "b", "A", "a ", "aa"} {
		for k := range fixedNames {
			if s := TempName(base, uint64(k)); seen[s] || len(s) > 40 {
				t.Error(s)
			} else {
				seen[s] = true
			}
		}
	}
}

// The first names to be tried are the fixed ones, which a later commit of the file clears; the
// others are random.
func TestTemporaryNamesTried(t *testing.T) {
	for i := range fixedNames {
		if got, want := temporaryName("f", i), TempName("f", uint64(i)); got != want {
			t.Errorf("name %d is %s, want %s", i, got, want)
		}
	}
	if a, b := temporaryName("f", fixedNames), temporaryName("f", fixedNames); a == b {
		t.Errorf("%s twice", a)
	}
}
