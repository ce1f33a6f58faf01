package snapshot_test

import (
	"flag"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// The tests open files in both ways: small ones are read into memory, and others, and small ones
// in the tests that say so, get private files. The step skips of .ci/run prints how many of each
// there were.
//
// Its file is the last one, so that all other tests have run.
func TestWaysOfOpening(t *testing.T) {
	if flag.Lookup("test.run").Value.String() != "" || flag.Lookup("test.skip").Value.String() != "" {
		t.Skip("only some of the tests have run")
	}
	mounttest.Dir(t, mounttest.Leases)
	inMemory, files := snapshot.Openings()
	t.Logf("openings: %d of small files in memory, %d by private files", inMemory, files)
	if inMemory == 0 || files == 0 {
		t.Error("one of the ways was never taken")
	}
}
