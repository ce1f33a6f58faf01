package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// An owner or group that the caller cannot give to a new file is refused before any data are
// copied. The error names Config.InPlace where that works.
//
//promise:snapshot.Config.OpenMut an owner or group that cannot be kept is an error at once
//promise:snapshot.Config.Create an owner or group that cannot be kept is an error at once
//promise:snapshot.Config.OpenMut an error names InPlace only where InPlace works
//promise:snapshot.Config.InPlace owner and group are kept that the caller cannot give to a file
func TestRefusedOwner(t *testing.T) {
	needOwners(t)
	const elsewhere = 7000 // a group that the caller is not in
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		victim := newUser(t, victimID, victimID)
		for i, c := range []struct {
			dirGroup, uid, gid int
			refused            bool
		}{
			{victimID, 5000, victimID, true},        // a directory that a group shares
			{elsewhere, 5000, victimID, true},       // the group alone can be kept
			{victimID, victimID, elsewhere, true},   // the owner alone can be kept
			{elsewhere, victimID, elsewhere, false}, // the directory hands the group down
			{elsewhere, victimID, victimID, false},  // the owner may give the file to the own group
		} {
			d := join(dir, fmt.Sprint(i))
			putDir(t, d, victimID, c.dirGroup, 0o2775)
			name := join(d, "f")
			put(t, name, "old", c.uid, c.gid, 0o666)
			want := attributesOf(t, name)
			victim.do(func() {
				if f, err := os.OpenFile(name, os.O_RDWR, 0); err != nil {
					t.Errorf("nothing is tested: %v", err)
				} else {
					_ = f.Close()
				}
				copied := false
				config := snapshot.Config{Progress: func(int64, int64) { copied = true }}
				m, err := config.OpenMut(context.Background(), name)
				created, createErr := snapshot.Create(name)
				if c.refused {
					text := fmt.Sprintf("owner %d:%d cannot be kept", c.uid, c.gid)
					for i, err := range []error{err, createErr} {
						if !errors.Is(err, fs.ErrPermission) ||
							!strings.Contains(err.Error(), text) ||
							strings.Contains(err.Error(), "InPlace") != (i == 0 && reflinks(dir)) {
							t.Errorf("%+v: %v", c, err)
						}
					}
					if copied {
						t.Error("data were copied in vain")
					}
				} else if err := errors.Join(err, createErr); err != nil {
					t.Errorf("%+v: %v", c, err)
				} else if err := errors.Join(
					created.Close(), m.Resize(2), m.Commit(), m.Close()); err != nil {
					t.Errorf("%+v: %v", c, err)
				}
				if c.refused && reflinks(dir) {
					m, err := inPlace.OpenMut(context.Background(), name)
					if err == nil {
						err = errors.Join(m.Resize(4), m.Commit(), m.Close())
					}
					if err != nil {
						t.Errorf("%+v in place: %v", c, err)
					}
				}
			})
			if got := attributesOf(t, name); got != want {
				t.Errorf("%+v: attributes were\n%s\nand are now\n%s", c, want, got)
			}
			wantNames(t, d, "f")
		}
	})
}

// An error that does not say that the owner cannot be kept is left to the commit.
//
//promise:snapshot.Config.OpenMut an owner that cannot be tried is no reason to fail
func TestOwnerNotTried(t *testing.T) {
	needOwners(t)
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		put(t, name, "old", victimID, victimID, 0o644)
		for _, c := range []struct {
			call    string
			skip    int // calls that work
			errno   syscall.Errno
			refused bool
		}{
			{"fchown", 0, syscall.EPERM, true},
			{"fchown", 0, syscall.EINVAL, true},
			{"fchown", 0, syscall.ENOENT, false}, // as of FUSE servers that go by names
			{"fchown", 0, syscall.EDQUOT, false},
			{"tmpfile", 1, syscall.ENOSPC, false},
		} {
			left := c.skip
			undo := systest.Intercept(t, func(call string) error {
				if call == c.call {
					if left--; left < 0 {
						return c.errno
					}
				}
				return nil
			})
			m, err := snapshot.OpenMut(name)
			undo()
			if err == nil {
				err = errors.Join(m.Commit(), m.Close())
			}
			if errors.Is(err, c.errno) != c.refused || !c.refused && err != nil {
				t.Errorf("%s: %v: %v", c.call, c.errno, err)
			}
		}
	})
}
