package snapshot_test

import (
	"context"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A panic of Progress is its caller's, and leaves nothing behind: no descriptor, no lock, no
// name, and a MmapMut that goes on.
func TestProgressPanics(t *testing.T) { smallAndPrivate(t, progressPanics) }

func progressPanics(t *testing.T) {
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100000))
		armed := true
		c := snapshot.Config{Progress: func(int64, int64) {
			if armed {
				panic("Progress")
			}
		}}
		panics := func(what string, f func() error) {
			t.Helper()
			defer func() {
				t.Helper()
				if recover() != "Progress" {
					t.Errorf("%s: no panic", what)
				}
			}()
			armed = true
			must(t, f())
		}
		f, err := os.Open(name)
		must(t, err)
		defer f.Close()
		panics("Open", func() error { _, err := c.Open(context.Background(), name); return err })
		panics("OpenMut", func() error { _, err := c.OpenMut(context.Background(), name); return err })
		panics("FromFile", func() error { _, err := c.FromFile(context.Background(), f); return err })
		armed = false
		m, err := c.OpenMut(context.Background(), name)
		must(t, err)
		closeLater(t, m)
		panics("Commit", m.Commit)
		defer systest.NoTmpfile()()
		panics("Commit under a temporary name", m.Commit)
		panics("Link", func() error { return m.Link(join(dir, "link")) })
		wantNames(t, dir, "f")
		armed = false
		must(t, m.Resize(5))
		must(t, m.Commit())
		wantFile(t, name, noise(1, 100000)[:5])
	})
}
