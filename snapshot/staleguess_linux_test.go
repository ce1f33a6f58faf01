package snapshot_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A chmod that the change time of the file does not show, because the clock is coarse, counts for
// the next commit: without O_TMPFILE, too, where no moment may show the new contents with the old
// mode.
//
//promise:snapshot.MmapMut.Commit a chmod that the change time does not show counts
func TestChmodUnseen(t *testing.T) {
	for _, tmpfile := range []bool{true, false} {
		mounttest.Each(t, func(t *testing.T, dir string) {
			mounttest.Leaks(t)
			if !tmpfile {
				defer systest.NoTmpfile()()
			}
			name := join(dir, "f")
			put(t, name, "no one's", os.Geteuid(), os.Getegid(), 0o644)
			m, err := snapshot.Config{TempDir: dir}.OpenMut(t.Context(), name)
			must(t, err)
			closeLater(t, m)
			systest.IgnoreTimes(t)
			must(t, m.Commit())
			must(t, os.Chmod(name, 0o600))
			_, err = m.WriteAt([]byte("a secret"), 0)
			must(t, err)
			undo := systest.Intercept(t, func(string) error {
				files(dir, func(name string, data []byte, st *syscall.Stat_t) {
					if !t.Failed() && strings.Contains(string(data), "secret") && st.Mode&0o077 != 0 {
						t.Errorf("%s has the mode %#o", name, st.Mode)
					}
				})
				return nil
			})
			for range 2 {
				must(t, m.Commit())
			}
			undo()
			wantFile(t, name, []byte("a secret"))
			wantMode(t, name, 0o600)
		})
	}
}

// With CheckConflict, such a chmod is a change like any other.
//
//promise:snapshot.Config.CheckConflict a chmod between the rename of a commit and its end is a conflict
func TestChmodBeforeBaseline(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, []byte("old"))
		m, err := snapshot.Config{CheckConflict: true}.OpenMut(t.Context(), name)
		must(t, err)
		closeLater(t, m)
		renamed := false
		undo := systest.Intercept(t, func(call string) error {
			if call == "fstat" && renamed {
				renamed = false
				return os.Chmod(name, 0o640)
			}
			renamed = renamed || call == "renameat"
			return nil
		})
		must(t, m.Commit())
		undo()
		if err := m.Commit(); !errors.Is(err, snapshot.ErrConflict) {
			t.Error(err)
		}
		wantMode(t, name, 0o640)
	})
}
