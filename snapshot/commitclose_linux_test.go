package snapshot_test

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// CommitAndClose takes the memory away: neither an old slice nor anything else can change the
// file that was published.
//
//promise:snapshot.MmapMut.CommitAndClose slices of Bytes fault from the start of the call
//promise:snapshot.MmapMut.CommitAndClose methods called during the call return fs.ErrClosed
func TestCommitAndCloseEndsStores(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 10000)
		write(t, name, data)
		m := openMut(t, name)
		b := m.Bytes()
		b[0]++
		data[0]++
		undo := systest.Intercept(t, func(call string) error {
			if call == "fsync" { // from before the data are written to the disk
				wantFault(t, func() { b[1]++ })
				for op, f := range map[string]func() error{
					"write":  func() error { _, err := m.WriteAt([]byte{1}, 2); return err },
					"read":   func() error { _, err := m.ReadAt(make([]byte, 1), 2); return err },
					"view":   func() error { return m.View(0, 1, func([]byte) error { return nil }) },
					"resize": func() error { return m.Resize(1) },
				} {
					wantError(t, f(), fs.ErrClosed, op+" "+name+": file already closed")
				}
			}
			return nil
		})
		must(t, m.CommitAndClose())
		undo()
		wantFault(t, func() { b[1]++ })
		wantFault(t, func() { _ = append([]byte(nil), b...) })
		if _, err := m.WriteAt([]byte{1}, 2); !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
		wantError(t, m.Close(), fs.ErrClosed, "close "+name+": file already closed")
		wantFile(t, name, data)
	})
}

// The private file itself becomes the file.
//
//promise:snapshot.MmapMut.CommitAndClose the private file itself is published, without a copy
func TestCommitAndCloseCopiesNothing(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 10000))
		m := openMut(t, name)
		calls := systest.CountCalls(t)
		must(t, m.CommitAndClose())
		for _, call := range []string{"ficlone", "copy_file_range", "pread"} {
			if n := calls(call); n > 0 {
				t.Errorf("%d calls of %s", n, call)
			}
		}
		if calls("linkat") != 1 {
			t.Error("not linked")
		}
	})
}

// While a View runs, the private file cannot be published, so a clone is.
//
//promise:snapshot.MmapMut.CommitAndClose a call while a View runs does what Commit and Close do
func TestCommitAndCloseInsideView(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 10000)
		write(t, name, data)
		m := openMut(t, name)
		must(t, m.View(0, -1, func(b []byte) error {
			b[0]++
			must(t, m.CommitAndClose())
			b[1]++ // too late, and harmless
			return nil
		}))
		data[0]++
		wantFile(t, name, data)
		wantNames(t, dir, "f")
	})
}

// A private file that was given the owner and mode of a file, which is gone since, is not published
// by a second CommitAndClose: what it publishes then is new.
//
//promise:snapshot.MmapMut.CommitAndClose after a failure no attributes of a lost file remain
func TestCommitAndCloseAgain(t *testing.T) {
	mounttest.Need(t, "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN")
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		must(t, os.Chown(dir, attackerID, attackerID))
		attacker := newUser(t, attackerID, attackerID)
		name := join(dir, "f")
		m, err := snapshot.Config{Perm: 0o600}.Create(t.Context(), name)
		must(t, err)
		closeLater(t, m)
		_, err = m.WriteGrow([]byte("secret"), 0)
		must(t, err)
		attacker.do(func() { must(t, plant("f")(dir)) })
		undo := systest.Intercept(t, func(call string) error {
			if call == "fsync" {
				attacker.do(func() { must(t, errors.Join(os.Remove(name), os.Mkdir(name, 0o700))) })
			}
			return nil
		})
		if err := m.CommitAndClose(); !errors.Is(err, syscall.EISDIR) {
			t.Error(err)
		}
		undo()
		attacker.do(func() { must(t, os.Remove(name)) })
		must(t, m.CommitAndClose())
		wantFile(t, name, []byte("secret"))
		if harm := exposed(0)(dir, nil); harm != "" {
			t.Error(harm)
		}
	})
}
