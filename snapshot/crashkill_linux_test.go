package snapshot_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// killWithin is how long after its first commit a child lives at most. It gets to some five
// more.
const killWithin = 20 * time.Millisecond

// Whenever the process is killed, or exits while another goroutine commits, the file is one
// generation, and not an old one.
//
//promise:snapshot.MmapMut.Commit after a kill the file is one version, whole
func TestCrashKill(t *testing.T) {
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		for _, way := range crashWays {
			t.Run(way, func(t *testing.T) {
				var total tally
				for k := range mounttest.Count(2, 25, 1000) {
					w := crashWork{Dir: join(dir, fmt.Sprint(way, k)), Way: way}
					w.prepare(t)
					acked := 0
					if k%2 == 0 {
						child := w.start(t)
						time.Sleep(rand.N(killWithin))
						acked = child.kill()
					} else {
						w.Exit = 1 + rand.N(killWithin)
						acked = w.start(t).exited()
					}
					total.survived(t, w, acked)
				}
				t.Log(&total)
			})
		}
	})
}

// A process killed in the instant between the two steps that give the new contents the name
// leaves a temporary name. The next one removes it, so that there is never more than one.
//
//promise:snapshot.MmapMut.Commit a crash leaves one temporary name at most
func TestCrashLeftover(t *testing.T) {
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		for _, way := range []string{wayCommit, wayClose, wayCommitTo, wayNamed} { // Link needs one step only
			t.Run(way, func(t *testing.T) {
				w := crashWork{Dir: join(dir, way), Way: way, Die: "renameat"}
				w.prepare(t)
				for range 2 {
					acked := w.start(t).died()
					slots, err := w.inspect(acked)
					if err != nil || acked != 1 || slots != 1 {
						t.Errorf("%d generations acknowledged, %d temporary names, want one each: %v", acked, slots, err)
					}
				}
				w.next(t, 1)
			})
		}
	})
}
