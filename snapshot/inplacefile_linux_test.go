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
	"golang.org/x/sys/unix"
)

// Attributes that cannot be read are no obstacle to opening, nor to a commit in place.
//
//promise:snapshot.Config.InPlace attributes that cannot be read do not fail the commit
func TestUnreadableAttributes(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		defer systest.Intercept(t, func(call string) error {
			if call == "flistxattr" {
				return syscall.EIO
			}
			return nil
		})()
		m, err := inPlace.OpenMut(context.Background(), name)
		must(t, err)
		clear(m.Bytes())
		must(t, m.CommitAndClose())
		wantFile(t, name, make([]byte, 100))
		if err := openMut(t, name).Commit(); !errors.Is(err, syscall.EIO) {
			t.Error(err)
		}
	})
}

// A file that can only be opened for writing by its name, and is leased then, is tried for again.
//
//promise:snapshot.Config.InPlace without /proc the file is opened by name, after leases end
func TestInPlaceByName(t *testing.T) {
	systest.NoPauses(t)
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		m, err := inPlace.OpenMut(context.Background(), name)
		must(t, err)
		closeLater(t, m)
		clear(m.Bytes())
		leased := 3
		defer systest.Intercept(t, func(call string) error {
			switch call {
			case "reopen writable":
				return errors.ErrUnsupported
			case "openreadwrite":
				if leased--; leased >= 0 {
					return syscall.EAGAIN
				}
			}
			return nil
		})()
		must(t, m.Commit())
		wantFile(t, name, make([]byte, 100))
		leased = 100
		if err := m.Commit(); !errors.Is(err, syscall.EAGAIN) {
			t.Error(err)
		}
	})
}

// In place, only the file that was opened is written to; what has its name by now is not.
//
//promise:snapshot.Config.InPlace Commit writes to the opened file or fails with ErrConflict
func TestInPlaceElsewhere(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		for what, since := range map[string]func(name string) error{
			"moved":    func(name string) error { return os.Rename(name, name+".moved") },
			"removed":  os.Remove,
			"replaced": func(name string) error { return errors.Join(os.Remove(name), os.WriteFile(name, noise(2, 100), 0o644)) },
			"fifo":     func(name string) error { return errors.Join(os.Remove(name), unix.Mkfifo(name, 0o644)) },
			"dir":      func(name string) error { return errors.Join(os.Remove(name), os.Mkdir(name, 0o755)) },
			"link":     func(name string) error { return errors.Join(os.Rename(name, name+".2"), os.Symlink(name+".2", name)) },
		} {
			name := join(dir, what)
			write(t, name, noise(1, 100))
			opened := openFile(t, name, os.O_RDONLY)
			m, err := inPlace.OpenMut(context.Background(), name)
			must(t, err)
			clear(m.Bytes())
			must(t, since(name))
			calls := systest.CountCalls(t)
			if err := m.Commit(); !errors.Is(err, snapshot.ErrConflict) {
				t.Errorf("%s: %v", what, err)
			}
			if n := calls("reopen writable"); n != 0 {
				t.Errorf("%s: the file was opened, which asks for its leases", what)
			}
			got := make([]byte, 100)
			_, err = opened.ReadAt(got, 0)
			must(t, err)
			wantBytes(t, what, got, noise(1, 100))
			if what == "replaced" {
				wantFile(t, name, noise(2, 100))
			}
			must(t, m.Close())
		}
	})
}
