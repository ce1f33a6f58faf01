package snapshot_test

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// twoSnapshots opens name twice, resized to 1 and to 2 bytes.
func twoSnapshots(t *testing.T, name string, checks [2]bool) (both [2]*snapshot.MmapMut) {
	t.Helper()
	write(t, name, noise(1, 100))
	for i, check := range checks {
		m, err := snapshot.Config{CheckConflict: check}.OpenMut(context.Background(), name)
		must(t, err)
		closeLater(t, m)
		must(t, m.Resize(int64(1+i)))
		both[i] = m
	}
	return both
}

// choices are the values of CheckConflict of an earlier and a later commit.
var choices = [][2]bool{{false, false}, {true, false}, {false, true}, {true, true}}

// The table of the package documentation says which of two commits the file has afterwards.
//
//promise:snapshot.Config.CheckConflict of two commits, a later one that checks is ErrConflict
//promise:snapshot.Config.CheckConflict of two commits, a later one that does not check wins
func TestTwoCommits(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		for _, checks := range choices {
			m := twoSnapshots(t, name, checks)
			must(t, m[0].Commit())
			err, size := m[1].Commit(), int64(2)
			if checks[1] {
				size = 1
			}
			if errors.Is(err, snapshot.ErrConflict) != checks[1] || !checks[1] && err != nil {
				t.Errorf("CheckConflict %v: %v", checks, err)
			}
			if n := fileSize(t, name); n != size {
				t.Errorf("CheckConflict %v: the file is of commit %d", checks, n)
			}
		}
		wantNames(t, dir, "f")
	})
}

// If the earlier commit is held up after its check, the later one waits for half a second. Then it
// fails if it checks, and otherwise goes on without the lock, and the earlier one replaces what it
// committed.
//
//promise:snapshot.Config.CheckConflict a commit that is held up fails later commits that check
//promise:snapshot.Config.CheckConflict a commit without the lock can be replaced by a checked one
func TestTwoCommitsHeldUp(t *testing.T) {
	systest.NoPauses(t)
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		for _, checks := range choices {
			m := twoSnapshots(t, name, checks)
			var later error
			heldUp, locks, between := false, 0, int64(0)
			undo := systest.Intercept(t, func(call string) error {
				switch {
				case call == "renameat" && !heldUp: // of the earlier commit, which checked by now
					heldUp = true
					later = m[1].Commit()
					between = fileSize(t, name)
				case call == "flock" && heldUp:
					locks++
				}
				return nil
			})
			err := m[0].Commit()
			undo()
			must(t, err)
			want := int64(2)
			if checks[1] {
				want = 100
			}
			if errors.Is(later, syscall.EAGAIN) != checks[1] || !checks[1] && later != nil {
				t.Errorf("CheckConflict %v: the later commit: %v", checks, later)
			}
			if between != want || locks < 10 {
				t.Errorf("CheckConflict %v: %d bytes after %d tries", checks, between, locks)
			}
			if n := fileSize(t, name); n != 1 { // without an error for either
				t.Errorf("CheckConflict %v: %d bytes, other than documented", checks, n)
			}
		}
		wantNames(t, dir, "f")
	})
}

// A lock of another process is a lock on the file that it opened. Commits neither wait for it nor
// move it to the new file.
//
//promise:snapshot.MmapMut.Commit a lock on the old file holds up no commit, and stays there
//promise:snapshot.Config.InPlace a lock on the file holds up no commit and stays
func TestLocksOfOthers(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		lock := func(f *os.File) error {
			return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		}
		holder, old := openFile(t, name, os.O_RDWR), openFile(t, name, os.O_RDWR)
		must(t, lock(holder))
		if reflinks(dir) {
			m, err := inPlace.OpenMut(context.Background(), name)
			must(t, err)
			must(t, m.Resize(200))
			must(t, m.CommitAndClose())
			if err := lock(openFile(t, name, os.O_RDWR)); err != syscall.EWOULDBLOCK {
				t.Errorf("in place: %v", err)
			}
		}
		m := openMut(t, name)
		must(t, m.Resize(10))
		must(t, commit(m))
		if err := lock(old); err != syscall.EWOULDBLOCK {
			t.Errorf("the old file: %v", err)
		}
		must(t, lock(openFile(t, name, os.O_RDWR)))
	})
}
