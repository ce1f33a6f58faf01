package publish

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// eachTemporary runs f with requests to replace the file f, which contains "old", by "new": with a
// temporary file without a name, with one that has a temporary name, and with a Ready file.
func eachTemporary(t *testing.T, f func(t *testing.T, name string, r Request)) {
	for _, what := range []string{"unnamed", "named", "ready"} {
		t.Run(what, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(name, []byte("old"), 0o640); err != nil {
				t.Fatal(err)
			}
			to, err := pathname.Resolve(nil, name, false)
			if err != nil {
				t.Fatal(err)
			}
			origin := NewOrigin(to, nil)
			t.Cleanup(to.Close)
			origin.needTempName = what == "named"
			r := Request{Origin: &origin, To: to, Fill: fillNew}
			if what == "ready" {
				fd, err := sys.Tmpfile(to.DirFD, 0o600)
				if err != nil {
					t.Fatal(err)
				}
				if err := fillNew(t.Context(), fd); err != nil {
					t.Fatal(err)
				}
				closeFile := sync.OnceValue(func() error { return syscall.Close(fd) })
				t.Cleanup(func() { _ = closeFile() })
				r.Ready = Ready(fd, to.DirFD, closeFile)
			}
			f(t, name, r)
		})
	}
}

func fillNew(_ context.Context, fd int) error {
	_, err := sys.Pwrite(fd, []byte("new"), 0)
	return err
}

// wantOnly checks that the file contains data and that there is no other in its directory.
func wantOnly(t *testing.T, name, data string) {
	t.Helper()
	mounttest.WantFile(t, name, []byte(data))
	mounttest.WantNames(t, filepath.Dir(name), filepath.Base(name))
}

// A publication brings the data to the disk, then takes the lock, replaces the file in one step and
// lets go of the lock, and then brings the directory to the disk, unless it is told not to. It
// waits for no disk while it holds the lock.
func TestPublish(t *testing.T) {
	for noSync, want := range map[bool][]string{
		false: {"fsync", "flock", "renameat", "funlock", "fsync"},
		true:  {"fsync", "flock", "renameat"}, // closing the directory unlocks it
	} {
		eachTemporary(t, func(t *testing.T, name string, r Request) {
			var steps []string
			r.NoSync = noSync
			undo := systest.Intercept(t, func(call string) error {
				if slices.Contains(want, call) {
					steps = append(steps, call)
				}
				return nil
			})
			published, err := Publish(t.Context(), r)
			undo()
			// The lock on the temporary file comes before that on the directory, if it has a name
			// from the start, or after it.
			if i := slices.Index(steps, "flock"); i == 0 {
				steps = steps[1:]
			}
			steps = slices.Compact(steps)
			if !published || err != nil || !slices.Equal(steps, want) {
				t.Errorf("NoSync %v: %v, %v; steps %q, want %q", noSync, published, err, steps, want)
			}
			wantOnly(t, name, "new")
		})
	}
}

// If a publication fails before the file has its name, nothing has changed. If it fails afterwards,
// it is done and the error is ErrNotDurable.
func TestPublishFails(t *testing.T) {
	for _, failing := range []string{"fsync", "reopendir", "openpath", "renameat", "fsync of the directory"} {
		eachTemporary(t, func(t *testing.T, name string, r Request) {
			renamed := false
			undo := systest.Intercept(t, func(call string) error {
				if call == failing || renamed && call == "fsync" && failing == "fsync of the directory" {
					return syscall.EIO
				}
				renamed = renamed || call == "renameat"
				return nil
			})
			published, err := Publish(t.Context(), r)
			undo()
			want, done := "old", failing == "fsync of the directory"
			if done {
				want = "new"
			}
			if !errors.Is(err, syscall.EIO) || published != done || errors.Is(err, ErrNotDurable) != done ||
				IsSyncError(err) != (failing == "fsync") {
				t.Errorf("%s fails: %v, %v", failing, published, err)
			}
			wantOnly(t, name, want)
		})
	}
}

// With ReplaceNone, the name must be free.
func TestReplaceNone(t *testing.T) {
	eachTemporary(t, func(t *testing.T, name string, r Request) {
		r.Replace = ReplaceNone
		elsewhere := *r.To
		r.To = &elsewhere
		if published, err := Publish(t.Context(), r); published || !errors.Is(err, fs.ErrExist) {
			t.Errorf("the name is taken: %v, %v", published, err)
		}
		wantOnly(t, name, "old")
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		if published, err := Publish(t.Context(), r); !published || err != nil {
			t.Errorf("the name is free: %v, %v", published, err)
		}
		wantOnly(t, name, "new")
	})
}

// If another file gets the temporary name, it is not published.
func TestTemporaryNameTakenOver(t *testing.T) {
	eachTemporary(t, func(t *testing.T, name string, r Request) {
		planted, complete := 0, false
		undo := systest.Intercept(t, func(call string) error {
			temporary, _ := filepath.Glob(filepath.Join(filepath.Dir(name), ".*"))
			complete = complete || call == "fsync"
			if call != "openpath" || len(temporary) == 0 || !complete {
				return nil
			}
			planted++
			return errors.Join(os.WriteFile(name+".other", []byte("other"), 0o600),
				os.Rename(name+".other", temporary[0]))
		})
		published, err := Publish(t.Context(), r)
		undo()
		if published || err == nil || planted == 0 {
			t.Errorf("%v, %v; planted %d times", published, err, planted)
		}
		mounttest.WantFile(t, name, []byte("old"))
	})
}

// A lock on the directory that stays makes a publication wait for half a second, and one that
// checks fails.
func TestLockDirectory(t *testing.T) {
	systest.NoPauses(t)
	eachTemporary(t, func(t *testing.T, name string, r Request) {
		holder, err := os.Open(filepath.Dir(name))
		if err != nil {
			t.Fatal(err)
		}
		defer holder.Close()
		if err := syscall.Flock(int(holder.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		r.Replace = ReplaceUnchanged
		calls := systest.CountCalls(t)
		if published, err := Publish(t.Context(), r); published || !errors.Is(err, syscall.EAGAIN) {
			t.Errorf("%v, %v", published, err)
		}
		if n := calls("flock"); n < lockTries+1 || n > lockTries+2 { // one is of the temporary file
			t.Errorf("%d tries", n)
		}
		r.Replace = ReplaceSameAccess
		if published, err := Publish(t.Context(), r); !published || err != nil {
			t.Errorf("without a check: %v, %v", published, err)
		}
	})
}

// Attributes that change while the lock is waited for are taken over, after the lock is let go, as
// often as that happens less than three times; then it is a conflict. A file with a temporary name
// is made anew instead, as another user may have opened it.
func TestAttributesChange(t *testing.T) {
	for changes := range tries + 1 {
		eachTemporary(t, func(t *testing.T, name string, r Request) {
			changed, filled, fill := 0, 0, r.Fill
			r.Fill = func(ctx context.Context, fd int) error {
				filled++
				return fill(ctx, fd)
			}
			synced, locked := false, false
			undo := systest.Intercept(t, func(call string) error {
				switch {
				case call == "fsync" && locked && changed < changes:
					t.Error("it waits for the disk under the lock")
				case call == "fsync":
					synced = true
				case call == "funlock":
					locked = false
				case call == "reopendir":
					locked = false
				case call == "flock" && synced && !locked && changed < changes:
					locked, synced = true, false
					changed++
					return os.Chmod(name, 0o600|fs.FileMode(changed))
				}
				return nil
			})
			published, err := Publish(t.Context(), r)
			undo()
			want, mode, wantFilled := "new", 0o600|fs.FileMode(changes), 1
			if changes == 0 {
				mode = 0o640
			}
			if r.Ready != nil {
				wantFilled = 0
			} else if r.Origin.needTempName {
				wantFilled = min(changes+1, tries)
			}
			if changes == tries {
				want = "old"
			}
			st, statErr := os.Stat(name)
			if statErr != nil {
				t.Fatal(statErr)
			}
			if published != (want == "new") || errors.Is(err, ErrConflict) == published ||
				st.Mode() != mode || changed != changes || filled != wantFilled {
				t.Errorf("%d of %d changes: %v, %v; mode %v, want %v; filled %d times, want %d",
					changed, changes, published, err, st.Mode(), mode, filled, wantFilled)
			}
			wantOnly(t, name, want)
		})
	}
}
