package snapshot_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// dropCapability takes a capability from the thread for good. Call it in mounttest.OnThread.
func dropCapability(capability int) error {
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(header, &sets[0]); err != nil {
		return err
	}
	sets[capability/32].Effective &^= 1 << (capability % 32)
	sets[capability/32].Permitted &^= 1 << (capability % 32)
	return unix.Capset(header, &sets[0])
}

// Set-id bits of the opened file are those that a write(2) to it would leave: all of them with
// CAP_FSETID, none without.
//
//promise:snapshot.MmapMut.Commit set-id bits of the opened file stay only where write(2) keeps them
func TestSetIDOfOpenedFile(t *testing.T) {
	needOwners(t)
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		const mode = 0o755 | fs.ModeSetuid | fs.ModeSetgid
		for who, become := range map[string]func() error{
			"root":                    func() error { return nil },
			"root without CAP_FSETID": func() error { return dropCapability(syscalls.CapFsetid) },
			"ordinary user":           func() error { return mounttest.Become(victimID, victimID) },
		} {
			must(t, os.Chown(dir, victimID, victimID))
			name, written := join(dir, "f"), join(dir, "written")
			for _, name := range []string{name, written} {
				write(t, name, noise(1, 100))
				must(t, os.Chown(name, victimID, victimID))
				must(t, os.Chmod(name, mode))
			}
			mounttest.OnThread(t, func() error {
				if err := become(); err != nil {
					return err
				}
				f, err := os.OpenFile(written, os.O_WRONLY|os.O_APPEND, 0)
				if err != nil {
					return err
				}
				_, err = f.Write([]byte("x"))
				if err := errors.Join(err, f.Close()); err != nil {
					return err
				}
				first, err := snapshot.OpenMut(name)
				if err != nil {
					return err
				}
				second, err := snapshot.OpenMut(name)
				if err != nil {
					return errors.Join(err, first.Close())
				}
				defer second.Close()
				defer first.Close()
				if err := errors.Join(first.Resize(20), commit(first)); err != nil || isCommitTo(dir) {
					return err
				}
				// This one finds another inode, perhaps without the bits, and goes on all the same.
				return errors.Join(second.Resize(20), commit(second))
			})
			fi, err := os.Stat(written)
			must(t, err)
			if kept := fi.Mode() == mode; kept != (who == "root") {
				t.Errorf("%s: a write leaves %v: nothing is tested", who, fi.Mode())
			}
			wantMode(t, name, fi.Mode())
			if n := fileSize(t, name); n != 20 {
				t.Errorf("%s: %d bytes", who, n)
			}
			must(t, os.Remove(name))
			must(t, os.Remove(written))
		}
	})
}

// Bits of Perm are kept by every commit of the file that Create made, also without CAP_FSETID.
//
//promise:snapshot.Config.Perm set-id bits of Perm stay in every commit
func TestSetIDOfPerm(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		others := mounttest.Can("CAP_CHOWN", "CAP_SETUID", "CAP_SETGID")
		if others {
			must(t, os.Chown(dir, victimID, victimID))
		}
		name, mode := join(dir, "f"), 0o755|fs.ModeSetuid|fs.ModeSetgid
		mounttest.OnThread(t, func() error {
			if others {
				if err := mounttest.Become(victimID, victimID); err != nil {
					return err
				}
			}
			m, err := snapshot.Config{Perm: mode}.Create(context.Background(), name)
			if err != nil {
				return err
			}
			defer m.Close()
			for n := int64(10); n <= 30; n += 10 {
				err = errors.Join(err, m.Resize(n), m.Commit())
			}
			return errors.Join(err, m.Link(name+".link"), m.Resize(40), commit(m))
		})
		wantMode(t, name, mode)
		wantMode(t, name+".link", mode)
		if n := fileSize(t, name); n != 40 {
			t.Error(n)
		}
	})
}

// A file that CommitTo or Create replace, and that was not opened, gives its owner and mode, but no
// set-id bit, not even to root.
//
//promise:snapshot.MmapMut.CommitTo set-id bits of a file that CommitTo replaces are dropped
//promise:snapshot.Config.Create set-id bits of a file that Create replaces are dropped
func TestSetIDOfReplacedFile(t *testing.T) {
	needOwners(t)
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		write(t, join(dir, "f"), noise(1, 100))
		m := openMut(t, join(dir, "f"))
		for what, replace := range map[string]func(name string) error{
			"CommitTo": m.CommitTo,
			"CommitTo of a file with Perm": func(name string) error {
				m, err := snapshot.Config{Perm: 0o751 | fs.ModeSetuid | fs.ModeSetgid}.Create(context.Background(), name+".new")
				if err != nil {
					return err
				}
				defer m.Close()
				return errors.Join(m.Resize(100), m.CommitTo(name))
			},
			"Create": func(name string) error {
				m, err := snapshot.Create(name)
				if err != nil {
					return err
				}
				return errors.Join(m.Resize(100), m.CommitAndClose())
			},
		} {
			name := join(dir, what)
			put(t, name, "", victimID, victimID, 0o6751)
			must(t, replace(name))
			wantMode(t, name, 0o751)
			if n := fileSize(t, name); n != 100 {
				t.Error(n)
			}
		}
	})
}

// Capabilities of a file do not survive a change of its contents, not even by root.
//
//promise:snapshot.MmapMut.Commit file capabilities are dropped, for root as well
func TestCapabilitiesAreDropped(t *testing.T) {
	needOwners(t)
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		if err := unix.Setxattr(name, "security.capability", capNetRaw, 0); errors.Is(err, errors.ErrUnsupported) {
			t.Skip("no capabilities of files here")
		} else {
			must(t, err)
		}
		m := openMut(t, name)
		must(t, m.Resize(10))
		must(t, commit(m))
		wantFile(t, name, noise(1, 100)[:10])
		if n, err := unix.Getxattr(name, "security.capability", nil); err != unix.ENODATA {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}
