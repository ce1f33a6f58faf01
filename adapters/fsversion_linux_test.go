package adapters_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// versionOf returns the Version of a FileInfo.
func versionOf(t *testing.T, f interface{ Stat() (fs.FileInfo, error) }) string {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return info.(interface{ Version() string }).Version()
}

// A statter is a name whose Stat is FS.Stat.
type statter struct {
	fsys *adapters.FS
	name string
}

func (s statter) Stat() (fs.FileInfo, error) { return s.fsys.Stat(s.name) }

// Other contents have another Version, also of the same size and time of modification; the same
// contents keep it. A directory has none.
//
//promise:adapters.FS Stat and files have a Version that belongs to one contents of a file
func TestFSVersion(t *testing.T) {
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		content := random(200_000)
		settled(t, dir, "f", content)
		name := filepath.Join(dir, "f")
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for i := range 3 {
			for range 2 { // by another FS, too
				fsys := newFS(t, dir, snapshot.Config{})
				v := versionOf(t, statter{fsys, "f"})
				if v == "" || seen[v] {
					t.Errorf("contents %d have the version %q", i, v)
				}
				for range 2 {
					if got := versionOf(t, mustOpen(t, fsys, "f")); got != v {
						t.Errorf("contents %d, opened, have the version %q, not %q", i, got, v)
					}
				}
				if v := versionOf(t, statter{fsys, "."}); v != "" {
					t.Errorf("the directory has the version %q", v)
				}
			}
			seen[versionOf(t, statter{newFS(t, dir, snapshot.Config{}), "f"})] = true
			content[i]++
			settled(t, dir, "f", content)
			if err := os.Chtimes(name, info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
			waitSettled(t, name)
		}
	})
}

// Contents whose next change the times may not show have no Version.
//
//promise:adapters.FS Version is empty while the times of the file prove nothing
func TestFSVersionUnsettled(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Fresh(t, mounttest.WholeSeconds, 16<<20)
	put(t, dir, "f", []byte("contents"))
	fsys := newFS(t, dir, snapshot.Config{})
	inTime := func(v string) bool {
		t.Helper()
		st, err := os.Open(filepath.Join(dir, "f"))
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		return !isSettled(t, int(st.Fd())) || v == ""
	}
	if v := versionOf(t, statter{fsys, "f"}); v != "" && inTime(v) {
		t.Errorf("Stat: %q", v)
	}
	if v := versionOf(t, mustOpen(t, fsys, "f")); v != "" && inTime(v) {
		t.Errorf("Open: %q", v)
	}
}

// A file that changes after it was looked up and before its snapshot is begun may have other
// contents then: the snapshot has no Version.
//
//promise:adapters.FS Version is empty if the file changed while the snapshot was made
func TestFSVersionChangedMeanwhile(t *testing.T) {
	mounttest.EachOf(t, mounttest.Leases, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		settled(t, dir, "f", random(200_000))
		name := filepath.Join(dir, "f")
		fsys := newFS(t, dir, snapshot.Config{})
		mounttest.HoldLease(t, name, func(giveUp, _ func()) {
			if err := os.Chmod(name, 0o600); err != nil { // which breaks no lease
				t.Error(err)
			}
			giveUp()
		})
		if v := versionOf(t, mustOpen(t, fsys, "f")); v != "" {
			t.Errorf("the version is %q", v)
		}
	})
}
