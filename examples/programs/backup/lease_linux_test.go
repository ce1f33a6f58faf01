package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A file with a lease of another process is copied if the holder gives the lease up when asked for
// it. A file whose lease stays is left out, after two seconds, and verified as different.
func TestLeases(t *testing.T) {
	mounttest.EachOf(t, mounttest.Leases|mounttest.Memory, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		source, destination := filepath.Join(dir, "source"), filepath.Join(dir, "copy")
		must(t, os.Mkdir(source, 0o755))
		polite := programtest.Put(t, source, "polite", "polite")
		programtest.Put(t, source, "plain", "plain")
		kept := programtest.Put(t, source, "kept", "kept")
		const reason = "another process holds a lease on the file: openat kept: " +
			"resource temporarily unavailable"
		giveUpLater := func(giveUp, _ func()) {
			time.Sleep(100 * time.Millisecond)
			giveUp()
		}
		begin := time.Now()
		t.Run("source", func(t *testing.T) {
			mounttest.HoldLease(t, polite, giveUpLater)
			mounttest.HoldLease(t, kept, nil)
			programtest.Call(t, run, source, destination).Want(t, incomplete, "2 files, 11 bytes",
				"backup: kept: left out: "+reason+"\n")
		})
		must(t, os.RemoveAll(destination))
		programtest.Call(t, run, source, destination).Want(t, 0, "3 files, 15 bytes", "")
		t.Run("copy", func(t *testing.T) {
			mounttest.HoldLease(t, filepath.Join(destination, manifestName), giveUpLater)
			mounttest.HoldLease(t, filepath.Join(destination, treeName, "polite"), giveUpLater)
			mounttest.HoldLease(t, filepath.Join(destination, treeName, "kept"), nil)
			verified := programtest.Call(t, run, "-verify", destination)
			verified.Want(t, 1, "kept: "+reason, "1 difference from")
		})
		if took := time.Since(begin); took > 30*time.Second { // the kernel would wait for 45
			t.Errorf("it took %v", took)
		}
	})
}
