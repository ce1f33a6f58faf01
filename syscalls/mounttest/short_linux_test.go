package mounttest_test

import (
	"flag"
	"slices"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// With -short, a test runs on one kind with reflinks and on one without, of those on which it runs
// otherwise, and so once at least; where no kind can be made, on the filesystem of the machine.
func TestShort(t *testing.T) {
	short := flag.Lookup("test.short").Value
	old := short.String()
	defer func() { _ = short.Set(old) }()
	run := func(setting string, p mounttest.Property) (reflinks, host []bool) {
		if err := short.Set(setting); err != nil {
			t.Fatal(err)
		}
		t.Run("short="+setting, func(t *testing.T) {
			each := func(t *testing.T, f func(t *testing.T, dir string)) { mounttest.EachOf(t, p, f) }
			if p == mounttest.Known {
				each = mounttest.Each
			}
			each(t, func(_ *testing.T, dir string) {
				reflinks = append(reflinks, mounttest.Has(dir, mounttest.Reflinks))
				host = append(host, !mounttest.Has(dir, mounttest.Private))
			})
		})
		return reflinks, host
	}
	for _, p := range []mounttest.Property{
		mounttest.Known, mounttest.Reflinks, mounttest.NoReflinks, mounttest.Disk, mounttest.Host,
	} {
		all, onHost := run("false", p)
		var want []bool
		for _, reflinks := range []bool{true, false} {
			for i := range all {
				if all[i] == reflinks && !onHost[i] {
					want = append(want, reflinks)
					break
				}
			}
		}
		if len(want) == 0 { // no kind can be made
			want = all
		}
		if got, _ := run("true", p); !slices.Equal(got, want) {
			t.Errorf("%v: ran with reflinks: %v, want %v of %v", p, got, want, all)
		}
	}
}

// EachKind selects as Each does.
//
//promise:mounttest.EachKind with -short it runs on one kind with reflinks and one without
func TestShortKinds(t *testing.T) {
	short := flag.Lookup("test.short").Value
	old := short.String()
	defer func() { _ = short.Set(old) }()
	run := func(setting string) (dirs, kinds []string) {
		if err := short.Set(setting); err != nil {
			t.Fatal(err)
		}
		t.Run("short="+setting, func(t *testing.T) {
			mounttest.EachOf(t, mounttest.Private, func(_ *testing.T, dir string) {
				dirs = append(dirs, mounttest.KindOf(dir).String())
			})
			mounttest.EachKind(t, mounttest.Known, func(t *testing.T, k *mounttest.Kind) {
				_ = k.Dir(t)
				kinds = append(kinds, k.String())
			})
		})
		return dirs, kinds
	}
	for _, setting := range []string{"true", "false"} {
		if dirs, kinds := run(setting); !slices.Equal(dirs, kinds) {
			t.Errorf("short=%s: EachOf runs on %q, EachKind on %q", setting, dirs, kinds)
		}
	}
}
