package snapshot_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A crashState is what would be on the disk had the power failed at some instant.
type crashState struct {
	path  string
	acked int
}

// crashStates takes n states of the image, which lies on a filesystem with reflinks, while a
// child does the work on it: a reflink of the image is all that was written to the device so
// far. Meanwhile all of the filesystem is written now and then, so that commits half done are
// in the states too, unless quiet. The image is unmounted then: btrfs mounts only one
// filesystem of an identity at a time.
func (w crashWork) crashStates(t testing.TB, i *image, n int, quiet bool) (states []crashState, generations int) {
	t.Helper()
	defer i.unmount(t)
	f, err := os.Open(i.path)
	must(t, err)
	defer f.Close()
	child := w.start(t)
	defer child.end()
	if !quiet {
		defer syncNowAndThen(t, i.dir)()
	}
	for k := range n {
		time.Sleep(rand.N(5 * time.Millisecond))
		path := fmt.Sprint(i.path, "-", k)
		state, err := os.Create(path)
		must(t, err)
		acked := child.acked()
		err = unix.IoctlFileClone(int(state.Fd()), int(f.Fd()))
		state.Close()
		must(t, err)
		states = append(states, crashState{path, acked})
	}
	return states, child.kill()
}

// syncNowAndThen writes all of the filesystem of dir to its device every few milliseconds until
// stop is called.
func syncNowAndThen(t testing.TB, dir string) (stop func()) {
	ended := make(chan struct{})
	var syncer sync.WaitGroup
	syncer.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(rand.N(6 * time.Millisecond)):
				if err := syncfs(dir); err != nil {
					t.Error(err)
				}
			}
		}
	})
	return func() {
		close(ended)
		syncer.Wait()
	}
}

// examine mounts a state in the place of the image, looks at it, commits once more if it is as
// it must be, and removes it.
func (w crashWork) examine(t testing.TB, i *image, s crashState) (slots int, err error) {
	t.Helper()
	state := *i
	state.path = s.path
	state.mount(t)
	defer func() {
		state.unmount(t)
		must(t, os.Remove(s.path))
	}()
	slots, err = w.inspect(s.acked)
	if err == nil {
		w.next(t, s.acked)
	}
	return slots, err
}

// Whenever the power fails, the file is one generation, not older than the last one whose
// commit returned.
//
//promise:snapshot.MmapMut.Commit after a crash the file is the old or the new one, whole
//promise:snapshot.MmapMut.Commit after a crash the file is not older than the last finished commit
//promise:adapters.File.Sync after a crash the file is the old or the new one, whole
func TestCrashImages(t *testing.T) {
	mounttest.EachKind(t, mounttest.Disk, func(t *testing.T, kind *mounttest.Kind) {
		i := newImage(t, kind, join(mounttest.Dir(t, mounttest.Reflinks), "image"))
		for _, way := range crashWays {
			t.Run(way, func(t *testing.T) {
				var total tally
				for left := mounttest.Count(4, 20, 1000); left > 0; left -= 50 {
					i.mount(t)
					w := crashWork{Dir: join(i.dir, fmt.Sprint(way, left)), Way: way}
					w.prepare(t)
					states, generations := w.crashStates(t, i, min(left, 50), false)
					total.generations += generations
					for _, s := range states {
						slots, err := w.examine(t, i, s)
						if err != nil {
							t.Error(err)
						}
						total.add(0, slots, err)
					}
				}
				t.Log(&total)
			})
		}
	})
}
