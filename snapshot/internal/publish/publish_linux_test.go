package publish

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// eachTemporary runs f with a file without a name, and with one that has a temporary name, which
// contain "new". Beside it is the file f, which contains "old".
func eachTemporary(
	t *testing.T,
	f func(t *testing.T, dir string, to *pathname.Location, temp *Temporary),
) {
	for what, named := range map[string]bool{"unnamed": false, "named": true} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "f"), []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			to, err := pathname.Resolve(filepath.Join(dir, "f"), false)
			if err != nil {
				t.Fatal(err)
			}
			defer to.Close()
			temp, err := NewTemporary(to.DirFD, "f", 0o600, named)
			if err != nil {
				t.Fatal(err)
			}
			defer temp.Discard()
			if _, err := sys.Pwrite(temp.FD, []byte("new"), 0); err != nil {
				t.Fatal(err)
			}
			f(t, dir, to, &temp)
		})
	}
}

// publication returns one whose callbacks add to steps, and that closes the descriptor it gets.
func publication(to *pathname.Location, steps *[]string) Publication {
	return Publication{
		To:           to,
		BeforeRename: func() error { *steps = append(*steps, "before"); return nil },
		AfterRename: func(file int) {
			*steps = append(*steps, "after")
			_ = syscalls.Close(file)
		},
	}
}

// A publication replaces the file in one step, between its callbacks, and then brings the
// directory to the disk, unless it is told not to.
func TestRun(t *testing.T) {
	for noSync, want := range map[bool][]string{
		false: {"before", "renameat", "after", "fsync"},
		true:  {"before", "renameat", "after"},
	} {
		eachTemporary(t, func(t *testing.T, dir string, to *pathname.Location, temp *Temporary) {
			var steps []string
			p := publication(to, &steps)
			p.NoSync = noSync
			undo := systest.Intercept(t, func(call string) error {
				if call == "renameat" || call == "fsync" {
					steps = append(steps, call)
				}
				return nil
			})
			done, err := p.Run(context.Background(), temp)
			undo()
			if !done || err != nil || !slices.Equal(steps, want) {
				t.Errorf("NoSync %v: %v, %v; steps %q, want %q", noSync, done, err, steps, want)
			}
			mounttest.WantFile(t, filepath.Join(dir, "f"), []byte("new"))
			mounttest.WantNames(t, dir, "f")
		})
	}
}

// If a publication fails before the file has its name, nothing has changed. If it fails afterwards,
// it is done and the error is ErrNotDurable.
func TestRunFails(t *testing.T) {
	for _, failing := range []string{"reopendir", "before", "openpath", "renameat", "fsync"} {
		eachTemporary(t, func(t *testing.T, dir string, to *pathname.Location, temp *Temporary) {
			var steps []string
			p := publication(to, &steps)
			if failing == "before" {
				p.BeforeRename = func() error { return syscall.EIO }
			}
			settled := false // that leftovers cannot be looked at does not matter
			if before := p.BeforeRename; failing == "openpath" {
				p.BeforeRename = func() error { settled = true; return before() }
			}
			undo := systest.Intercept(t, func(call string) error {
				if call == failing && (call != "openpath" || settled) {
					return syscall.EIO
				}
				return nil
			})
			done, err := p.Run(context.Background(), temp)
			undo()
			if !errors.Is(err, syscall.EIO) || done != (failing == "fsync") ||
				errors.Is(err, ErrNotDurable) != done {
				t.Errorf("%s fails: %v, %v", failing, done, err)
			}
			temp.Discard()
			want := "old"
			if done {
				want = "new"
			}
			mounttest.WantFile(t, filepath.Join(dir, "f"), []byte(want))
			mounttest.WantNames(t, dir, "f")
		})
	}
}

// With NoReplace, the name must be free.
func TestRunNoReplace(t *testing.T) {
	eachTemporary(t, func(t *testing.T, dir string, to *pathname.Location, temp *Temporary) {
		var steps []string
		p := publication(to, &steps)
		p.NoReplace = true
		if done, err := p.Run(context.Background(), temp); done || !errors.Is(err, fs.ErrExist) {
			t.Errorf("the name is taken: %v, %v", done, err)
		}
		mounttest.WantFile(t, filepath.Join(dir, "f"), []byte("old"))
		if err := os.Remove(filepath.Join(dir, "f")); err != nil {
			t.Fatal(err)
		}
		if done, err := p.Run(context.Background(), temp); !done || err != nil {
			t.Errorf("the name is free: %v, %v", done, err)
		}
		mounttest.WantFile(t, filepath.Join(dir, "f"), []byte("new"))
		mounttest.WantNames(t, dir, "f")
	})
}

// If another file gets the temporary name, it is not published.
func TestTemporaryNameTakenOver(t *testing.T) {
	eachTemporary(t, func(t *testing.T, dir string, to *pathname.Location, temp *Temporary) {
		if temp.Name == "" {
			t.Skip("it has no temporary name")
		}
		var steps []string
		p := publication(to, &steps)
		p.BeforeRename = func() error {
			other := filepath.Join(dir, "other")
			return errors.Join(os.WriteFile(other, []byte("other"), 0o600),
				os.Rename(other, filepath.Join(dir, temp.Name)))
		}
		if done, err := p.Run(context.Background(), temp); done || !errors.Is(err, ErrConflict) {
			t.Errorf("%v, %v", done, err)
		}
		mounttest.WantFile(t, filepath.Join(dir, "f"), []byte("old"))
	})
}

// A lock on the directory that stays makes a publication wait for half a second, and one that
// checks fails.
func TestLockDirectory(t *testing.T) {
	systest.NoPauses(t)
	eachTemporary(t, func(t *testing.T, dir string, to *pathname.Location, temp *Temporary) {
		holder, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer holder.Close()
		if err := syscall.Flock(int(holder.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		var steps []string
		p := publication(to, &steps)
		p.Check = true
		calls := systest.CountCalls(t)
		if done, err := p.Run(context.Background(), temp); done || !errors.Is(err, syscall.EAGAIN) {
			t.Errorf("%v, %v", done, err)
		}
		if n := calls("flock"); n != lockTries+1 {
			t.Errorf("%d tries", n)
		}
		p.Check = false
		if done, err := p.Run(context.Background(), temp); !done || err != nil {
			t.Errorf("without a check: %v, %v", done, err)
		}
	})
}
