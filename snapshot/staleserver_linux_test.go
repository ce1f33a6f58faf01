package snapshot_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A server that identifies files by name returns ESTALE for a file that was replaced since it was
// opened with O_PATH. Opening and committing then resolve the name again, whichever call fails.
func TestFileReplacedOnServer(t *testing.T) {
	dir := mounttest.Dir(t, mounttest.Memory)
	mounttest.Leaks(t)
	name := join(dir, "f")
	for _, call := range []string{"openpath", "reopen", "flistxattr", "statx flags"} {
		stale, missed := 0, false
		for k := 1; !missed; k++ {
			data := noise(uint64(k), 10000)
			write(t, name, data)
			calls := 0
			undo := systest.Intercept(t, func(made string) error {
				if made != call {
					return nil
				}
				if calls++; calls != k || len(namesIn(t, dir)) > 1 { // not when the temporary name is looked at
					return nil
				}
				must(t, os.WriteFile(name+"2", data, 0o600))
				must(t, os.Rename(name+"2", name))
				return syscall.ESTALE
			})
			m, err := snapshot.OpenMut(name)
			if err == nil {
				_, err = m.WriteAt([]byte("new"), 0)
				must(t, err)
				err = m.Commit()
				must(t, m.Close())
			}
			undo()
			if missed = calls < k; !missed {
				stale++
			}
			if err != nil {
				t.Errorf("%s number %d: %v", call, k, err)
				continue
			}
			copy(data, "new")
			wantFile(t, name, data)
			wantNames(t, dir, "f")
		}
		if stale == 0 {
			t.Errorf("%s: %d calls", call, stale)
		}
	}
}

// If an unnamed file can be made, but not changed or linked, a commit uses a temporary name.
func TestUnnamedFileCannotBePublished(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		for call, errno := range map[string]syscall.Errno{"fchmod": syscall.ENOENT, "linkat": syscall.EXDEV} {
			for _, way := range ways {
				data := noise(1, 10000)
				write(t, name, data)
				m := openMut(t, name)
				_, err := m.WriteAt([]byte("new"), 0)
				must(t, err)
				copy(data, "new")
				named := false
				undo := systest.Intercept(t, func(made string) error {
					named = named || made == "create excl"
					if made == call && !named {
						return errno
					}
					return nil
				})
				err = way.do(m)
				undo()
				if err != nil || !named {
					t.Errorf("%s: %v: %v; a temporary name from the start: %v", way.name, errno, err, named)
				}
				_ = m.Close()
				wantFile(t, name, data)
				wantNames(t, dir, "f")
			}
		}
	})
}

// In place, the name is looked at again, and the directory is not locked meanwhile.
//
//promise:snapshot.Config.InPlace a file that a server calls stale once is looked for again
func TestInPlaceStaleOnce(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, []byte("old"))
		m, err := snapshot.Config{InPlace: true, CheckConflict: true}.OpenMut(t.Context(), name)
		must(t, err)
		closeLater(t, m)
		_, err = m.WriteAt([]byte("new"), 0)
		must(t, err)
		locked, stale, unlocked := false, false, false
		undo := systest.Intercept(t, func(call string) error {
			locked = locked || call == "flock"
			unlocked = unlocked || stale && call == "funlock"
			if call != "openpath" || stale || !locked {
				return nil
			}
			stale = true
			return syscall.ESTALE
		})
		must(t, m.Commit())
		undo()
		if !stale || !unlocked {
			t.Errorf("stale %v, unlocked %v", stale, unlocked)
		}
		wantFile(t, name, []byte("new"))
	})
}
