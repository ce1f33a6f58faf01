package snapshot_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Whatever a stranger did to the file is a conflict, and stays.
//
//promise:snapshot.Config.CheckConflict another content, size, owner, mode or name is ErrConflict
//promise:snapshot.ErrConflict a commit that fails with ErrConflict changes nothing
func TestConflict(t *testing.T) {
	strangers := map[string]func(t *testing.T, name string){
		"chmod": func(t *testing.T, name string) { must(t, os.Chmod(name, 0o600)) },
		"replace": func(t *testing.T, name string) {
			write(t, name+"2", noise(1, 12289))
			must(t, os.Rename(name+"2", name))
		},
		"commit": func(t *testing.T, name string) {
			m := openMut(t, name)
			must(t, m.CommitAndClose())
		},
		"same bytes": func(t *testing.T, name string) { write(t, name, noise(1, 12289)) },
	}
	for _, change := range changes {
		strangers[change.name] = change.do
	}
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		for what, do := range strangers {
			for _, after := range []int{1, 0}[:mounttest.Count(1, 2, 2)] { // own commits
				name := join(dir, "f")
				write(t, name, noise(1, 12289))
				m, err := checking.OpenMut(context.Background(), name)
				must(t, err)
				for range after {
					must(t, m.Commit())
				}
				do(t, name)
				before, statErr := os.Stat(name)
				err = commit(m)
				if isCommitTo(dir) { // does not check
					must(t, err)
				} else if !errors.Is(err, snapshot.ErrConflict) {
					t.Errorf("%s after %d commits: %v", what, after, err)
				} else if now, err := os.Stat(name); statErr == nil && (err != nil || !os.SameFile(before, now)) {
					t.Errorf("%s: the file was replaced", what)
				} else if statErr != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: the file is back: %v", what, err)
				}
				_ = m.Close()
				_ = os.Remove(name)
				wantNames(t, dir)
			}
		}
	})
}

// One's own commits, and reading by others, are no conflicts.
//
//promise:snapshot.Config.CheckConflict commits of the snapshot and readers are no conflict
func TestNoConflict(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		name := join(dir, "f")
		write(t, name, noise(1, 12289))
		m, err := checking.OpenMut(context.Background(), name)
		must(t, err)
		must(t, m.Resize(77))
		for range mounttest.Count(2, 20, 1000) {
			must(t, m.Commit())
			_, err := os.ReadFile(name)
			must(t, err)
		}
		must(t, commit(m))
		if n := fileSize(t, name); n != 77 {
			t.Error(n)
		}
		_ = m.Close()
	})
}

// CommitTo does not check, and what it does to the snapshot's own name counts as somebody else's
// change.
//
//promise:snapshot.Config.CheckConflict CommitTo and Link do not check
//promise:snapshot.Config.CheckConflict a CommitTo to the snapshot's own name is a conflict
func TestCommitToOwnName(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		m, err := checking.OpenMut(context.Background(), name)
		must(t, err)
		closeLater(t, m)
		must(t, m.Resize(10))
		must(t, m.CommitTo(name))
		must(t, m.Resize(20))
		if err := m.Commit(); !errors.Is(err, snapshot.ErrConflict) {
			t.Error(err)
		}
		wantFile(t, name, noise(1, 100)[:10])
	})
}

// Whoever has the lock on the directory keeps commits that check from being made, for half a second
// each, and no others.
//
//promise:snapshot.Config.CheckConflict while the directory is locked, only checked commits fail
//promise:snapshot.Config.CheckConflict a checked commit waits half a second for the lock
func TestDirectoryLockHeld(t *testing.T) {
	systest.NoPauses(t)
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		d := openFile(t, dir, os.O_RDONLY)
		must(t, syscall.Flock(int(d.Fd()), syscall.LOCK_EX))
		m, err := checking.OpenMut(context.Background(), name)
		must(t, err)
		closeLater(t, m)
		must(t, m.Resize(10))
		calls := systest.CountCalls(t)
		if err := m.Commit(); !errors.Is(err, syscall.EAGAIN) {
			t.Error(err)
		}
		if n := calls("flock"); n != 10 {
			t.Errorf("tried %d times", n)
		}
		wantFile(t, name, noise(1, 100))
		wantNames(t, dir, "f")
		other := openMut(t, name)
		must(t, other.CommitAndClose())
		must(t, syscall.Flock(int(d.Fd()), syscall.LOCK_UN))
		if err := m.Commit(); !errors.Is(err, snapshot.ErrConflict) {
			t.Error(err)
		}
	})
}

// Create with CheckConflict makes a file that was not there, once.
//
//promise:snapshot.Config.CheckConflict Create fails if a file has the name
//promise:snapshot.Config.CheckConflict the error of Create with a name that is taken is fs.ErrExist
func TestCreateConflict(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		if isCommitTo(dir) {
			t.Skip("CommitTo does not check")
		}
		name := join(dir, "f")
		first, err := checking.Create(context.Background(), name)
		must(t, err)
		closeLater(t, first)
		second, err := checking.Create(context.Background(), name)
		must(t, err)
		closeLater(t, second)
		must(t, first.Resize(1))
		must(t, second.Resize(2))
		must(t, commit(first))
		err = commit(second)
		if !errors.Is(err, snapshot.ErrConflict) || !errors.Is(err, fs.ErrExist) {
			t.Error(err)
		}
		if n := fileSize(t, name); n != 1 {
			t.Error(n)
		}
		wantNames(t, dir, "f")
	})
}

// A name that is taken at the last moment, after all checks, is not taken over.
//
//promise:snapshot.Config.CheckConflict a name that is taken after all checks is ErrConflict
func TestNameTakenMeanwhile(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		m, err := checking.Create(context.Background(), name)
		must(t, err)
		closeLater(t, m)
		for want, link := range map[error]func() error{
			snapshot.ErrConflict: m.Commit,
			fs.ErrExist:          func() error { return m.Link(name) },
		} {
			undo := systest.Intercept(t, func(call string) error {
				if call == "linkat" {
					write(t, name, []byte("first"))
				}
				return nil
			})
			err := link()
			undo()
			if !errors.Is(err, want) {
				t.Errorf("%v: is not %v", err, want)
			}
			wantFile(t, name, []byte("first"))
			wantNames(t, dir, "f")
			must(t, os.Remove(name))
		}
	})
}
