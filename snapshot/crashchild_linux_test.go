package snapshot_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
)

// TestCrashChild is the child. It writes a byte to descriptor 3 for each generation that a
// commit has returned from.
func TestCrashChild(t *testing.T) {
	env := os.Getenv(crashEnv)
	if env == "" {
		t.Skip("not a test: other tests run it in a process of its own")
	}
	var w crashWork
	must(t, json.Unmarshal([]byte(env), &w))
	if w.Skip != "" {
		systest.SkipFsync(t, w.Skip == "data", w.Skip == "names")
	}
	if w.Way == wayNamed {
		systest.NoTmpfile()
	}
	c, err := w.committer()
	must(t, err)
	acks := os.NewFile(3, "acks")
	for g := 1; ; g++ {
		if g == 2 && w.Die != "" {
			systest.Intercept(t, w.die)
		}
		must(t, c.commit(g))
		_, err := acks.Write([]byte{1})
		must(t, err)
		if w.links() && g > 1 {
			must(t, os.Remove(w.linkName(g-1)))
		}
		if g == 1 && w.Exit != 0 {
			time.AfterFunc(w.Exit, func() { os.Exit(crashExit) })
		}
	}
}
