package snapshot_test

import (
	"errors"
	"os/exec"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// While a Prefetch uses the mapping, CommitAndClose publishes a copy: no memory of the snapshot leads to
// the published file, which can be executed at once. A Resize to less is refused.
//
//promise:snapshot.MmapMut.CommitAndClose beside a Prefetch no memory leads to the published file
//promise:snapshot.MmapMut.Resize a smaller Resize beside a Prefetch fails with EBUSY
func TestCommitAndCloseBesidePrefetch(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		m := create(t, join(dir, "f"))
		_, err := m.WriteGrow([]byte("#!/bin/sh\nexit 0\n"), 0)
		must(t, err)
		calls := 0
		undo := systest.Intercept(t, func(call string) error {
			if call != "populate" {
				return nil
			}
			if calls++; calls == 1 {
				if err := m.Resize(1); !errors.Is(err, syscall.EBUSY) {
					t.Errorf("Resize beside a Prefetch: %v", err)
				}
				must(t, m.CommitAndClose())
				must(t, syscall.Chmod(join(dir, "f"), 0o755))
				if err := exec.Command(join(dir, "f")).Run(); err != nil {
					t.Error(err)
				}
			}
			return nil
		})
		_ = m.Prefetch(0, -1)
		undo()
		if calls == 0 {
			t.Error("nothing was tested")
		}
	})
}
