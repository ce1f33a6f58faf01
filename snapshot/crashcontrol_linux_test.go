package snapshot_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// The tests of this file break a promise on purpose. If the crash tests did not find the
// damage, they would prove nothing.

// A crashControl is a promise broken, and what must become of it.
type crashControl struct {
	skip   string
	way    string
	damage error
}

// crashControls returns what shows most often on a filesystem; in brackets, in how many of
// twenty images.
//
// Without the fsync of the data, all ways give empty files on btrfs (20). XFS needs it only
// where nothing is cloned, as a clone makes the kernel write what it clones first: in
// CommitAndClose (20), or else there are zeros. On ext4 a rename over another file starts the
// writing of the data, which can be in time (Commit: 5), and Link renames nothing (20).
//
// Without the fsync of the directory, all ways lose the last generation (12 to 19), until
// something else has the filesystem write its log: the fsync of the data of the next one does.
func crashControls(kind *mounttest.Kind) []crashControl {
	dataWay := wayClose
	if kind.Has(mounttest.RenameWrites) {
		dataWay = wayLink
	}
	return []crashControl{{"data", dataWay, errTorn}, {"names", wayCommit, errOld}}
}

// find runs crashes until one of them does the damage, and fails the test if none does.
func (c crashControl) find(t *testing.T, limit int, crash func(k int) (*tally, error)) {
	t.Helper()
	for k := range limit {
		total, err := crash(k)
		if errors.Is(err, c.damage) {
			t.Log(total)
			return
		}
		if err != nil {
			t.Logf("found %v, want %v", err, c.damage)
		}
	}
	t.Errorf("this harness proves nothing: %s, with the promise of %q broken, is never %v", c.way, c.skip, c.damage)
}

func TestCrashControlImages(t *testing.T) {
	mounttest.EachKind(t, mounttest.Disk, func(t *testing.T, kind *mounttest.Kind) {
		i := newImage(t, kind, join(mounttest.Dir(t, mounttest.Reflinks), "image"))
		for _, c := range crashControls(kind) {
			t.Run(c.skip, func(t *testing.T) {
				var total tally
				c.find(t, 20, func(k int) (_ *tally, found error) {
					i.mount(t)
					w := crashWork{Dir: join(i.dir, fmt.Sprint(c.skip, k)), Way: c.way, Skip: c.skip}
					w.prepare(t)
					states, generations := w.crashStates(t, i, 5, true)
					total.generations += generations
					for _, s := range states {
						slots, err := w.examine(t, i, s)
						total.add(0, slots, err)
						found = errors.Join(found, err)
					}
					return &total, found
				})
			})
		}
	})
}

func TestCrashControlShutdown(t *testing.T) {
	mounttest.EachKind(t, mounttest.Shutdown, func(t *testing.T, kind *mounttest.Kind) {
		i := newImage(t, kind, join(mounttest.Dir(t, mounttest.Memory), "image"))
		i.mount(t)
		for _, c := range crashControls(kind) {
			t.Run(c.skip, func(t *testing.T) {
				var total tally
				c.find(t, 100, func(k int) (*tally, error) {
					w := crashWork{Dir: join(i.dir, fmt.Sprint(c.skip, k)), Way: c.way, Skip: c.skip}
					acked := w.shutdown(t, i, noLogFlush)
					slots, err := w.inspect(acked)
					total.add(acked, slots, err)
					must(t, os.RemoveAll(w.Dir))
					return &total, err
				})
			})
		}
	})
}

// A reflink over a file of many extents is not atomic, as the documentation of Config.InPlace
// says: killed two milliseconds into it, a process leaves a mix.
//
//promise:snapshot.Config.InPlace a kill during the commit can leave a mix of both versions
func TestCrashControlKill(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		var total tally
		c := crashControl{"in place", wayInPlace, errTorn}
		c.find(t, 100, func(k int) (*tally, error) {
			w := crashWork{Dir: join(dir, fmt.Sprint(k)), Way: c.way, Die: "ficlone", Delay: 1 + rand.N(2*time.Millisecond)}
			w.prepare(t)
			acked := w.start(t).died()
			slots, err := w.inspect(acked)
			total.add(acked, slots, err)
			must(t, os.RemoveAll(w.Dir))
			return &total, err
		})
	})
}
