package snapshot_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A program that is committed can be executed as soon as it has its name, while its directory is
// still on its way to the disk.
//
//promise:snapshot.MmapMut.Commit a committed program can be executed as soon as it has its name
func TestExecuteDuringCommit(t *testing.T) {
	program, err := exec.LookPath("true")
	must(t, err)
	contents, err := os.ReadFile(program)
	must(t, err)
	mounttest.Each(t, func(t *testing.T, dir string) {
		name := join(dir, "program")
		for what, commit := range map[string]func(m *snapshot.MmapMut) error{
			"Commit":         (*snapshot.MmapMut).Commit,
			"CommitAndClose": (*snapshot.MmapMut).CommitAndClose,
			"CommitTo":       func(m *snapshot.MmapMut) error { return m.CommitTo(name) },
			"Link":           func(m *snapshot.MmapMut) error { return m.Link(name) },
		} {
			for _, named := range []bool{false, true} { // temporarily, before
				must(t, os.RemoveAll(name))
				own := join(dir, what)
				if what == "Commit" || what == "CommitAndClose" {
					own = name
				}
				must(t, os.WriteFile(own, contents, 0o700))
				undo := func() {}
				if named {
					undo = systest.NoTmpfile()
				}
				m := openMut(t, own)
				runs := 0
				restore := systest.Intercept(t, func(call string) error {
					if call == "funlock" {
						runs++
						if err := exec.Command(name).Run(); err != nil {
							t.Errorf("%s: %v", what, err)
						}
					}
					return nil
				})
				must(t, commit(m))
				restore()
				undo()
				if runs == 0 {
					t.Errorf("%s: no call after the name", what)
				}
				_ = m.Close()
			}
		}
	})
}
