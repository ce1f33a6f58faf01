package mounttest

import (
	"os"
	"testing"
)

// Each runs f once for every kind, as a subtest of its name with a fresh empty directory:
// "xfs", "btrfs", "ext4", "tmpfs", and "host", which is whatever filesystem the machine keeps
// temporary files on. See [Dir].
//
// With -short, f runs on two kinds, one with reflinks and one without, if they can be made here.
func Each(t *testing.T, f func(t *testing.T, dir string)) {
	t.Helper()
	each(t, Known, true, f)
}

// EachOf is like [Each], for those with the properties. The machine's own is among them if none
// of its type can be made here.
func EachOf(t *testing.T, p Property, f func(t *testing.T, dir string)) {
	t.Helper()
	own := kindOf(os.TempDir())
	each(t, p, Has(os.TempDir(), p) && (own == nil || p&Host != 0 || available(own) != nil), f)
}

// EachKind runs f once for every kind with the properties, as a subtest of its name, for tests that
// make filesystems of that kind. With -short, it selects as [Each] does.
func EachKind(t *testing.T, p Property, f func(t *testing.T, kind *Kind)) {
	t.Helper()
	for _, k := range eachOf(t, p) {
		t.Run(k.name, func(t *testing.T) { f(t, k) })
	}
}

func each(t *testing.T, p Property, host bool, f func(t *testing.T, dir string)) {
	t.Helper()
	if p&Host == 0 {
		EachKind(t, p, func(t *testing.T, k *Kind) { f(t, k.Dir(t)) })
	}
	if host && (!testing.Short() || len(fewer(Kinds(p))) == 0) {
		t.Run("host", func(t *testing.T) { f(t, Dir(t, Host)) })
	}
}

// eachOf returns the kinds with the properties, or with -short those that fewer returns. If none of
// them can be made here it returns all, so that each test reports the reason.
func eachOf(t *testing.T, p Property) []*Kind {
	t.Helper()
	kinds := Kinds(p)
	if len(kinds) == 0 {
		t.Fatalf("mounttest: no kind of filesystem has %v", p)
	}
	if testing.Short() {
		if few := fewer(kinds); len(few) > 0 {
			return few
		}
	}
	return kinds
}

// fewer returns the first kind with reflinks and the last one without, which is the faster of
// these, of those that can be made here.
func fewer(kinds []*Kind) (few []*Kind) {
	var with, last *Kind
	for _, k := range kinds {
		switch {
		case available(k) != nil:
		case !k.Has(Reflinks):
			last = k
		case with == nil:
			with = k
		}
	}
	for _, k := range []*Kind{with, last} {
		if k != nil {
			few = append(few, k)
		}
	}
	return few
}

// Dir returns a fresh empty directory on the first filesystem of the table, or else on that of the
// machine, that has the properties and can be had. It is removed with all it holds when the test
// ends.
//
// All directories of one kind lie on one filesystem, 16 GiB in size but sparse, which is made
// when first asked for and shared by every test of this binary. The directory has mode 0755, and
// everyone may search those above it, up to the one that TMPDIR named before [Main].
//
// If none can be had, the test is skipped with the reason, see the package documentation. A kind
// that should work and does not fails the test.
func Dir(tb testing.TB, p Property) string {
	tb.Helper()
	var first string
	for _, k := range Kinds(p) {
		root, err := sharedRoot(k)
		if err == nil {
			return dirIn(tb, root)
		}
		reason := without(tb, k.name, err)
		if first == "" {
			first = reason
		}
	}
	if Has(os.TempDir(), p) {
		root, err := hostRoot()
		if err != nil {
			tb.Skip(without(tb, "host", err))
		}
		return dirIn(tb, root)
	}
	switch {
	case first != "":
		tb.Skip(first)
	case p&Host != 0:
		tb.Skipf("the filesystem of temporary files has not %v", p)
	default:
		tb.Fatalf("mounttest: no filesystem has %v", p)
	}
	return ""
}

// Dir is like the function [Dir], on a filesystem of this kind.
func (k *Kind) Dir(tb testing.TB) string {
	tb.Helper()
	root, err := sharedRoot(k)
	if err != nil {
		tb.Skip(without(tb, k.name, err))
	}
	return dirIn(tb, root)
}

func dirIn(tb testing.TB, root string) string {
	tb.Helper()
	dir, err := os.MkdirTemp(root, "dir-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("mounttest: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// names is every name that MOUNTTEST_REQUIRE may have.
func names() []string {
	names := []string{"host", "user"}
	for _, k := range table {
		names = append(names, k.name)
	}
	return names
}
