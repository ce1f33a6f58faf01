package snapshot_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// Chmod sets the mode with the next commit, of an old and of a new file, and of one that Create
// replaces. Later commits take over what another process sets then.
//
//promise:snapshot.MmapMut.Chmod the next commit sets exactly this mode, and nothing does before
//promise:snapshot.MmapMut.Chmod a commit that fails leaves the mode to the next one
func TestChmod(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		defer syscall.Umask(syscall.Umask(0o027))
		eachWayIn(t, dir, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
			if isCommitTo(dir) {
				return // TestChmodOwnNameOnly
			}
			for _, mode := range []fs.FileMode{
				0, 0o600, 0o777, fs.ModeSetuid | 0o711, fs.ModeSetgid | 0o755, fs.ModeSticky | 0o666,
			} {
				old, replaced := join(dir, "old"), join(dir, "replaced")
				for _, name := range []string{old, replaced} {
					_ = os.Remove(name)
					write(t, name, []byte("old"))
					must(t, os.Chmod(name, 0o640))
				}
				fresh := join(dir, "new")
				_ = os.Remove(fresh)
				for name, m := range map[string]*snapshot.MmapMut{
					old: openMut(t, old), replaced: create(t, replaced), fresh: create(t, fresh),
				} {
					must(t, m.Chmod(0o707)) // the last one counts
					must(t, m.Chmod(mode))
					if name != fresh {
						wantMode(t, name, 0o640)
					}
					undo := systest.Intercept(t, func(call string) error {
						if call == "renameat" {
							return syscall.ENOSPC
						}
						return nil
					})
					if err := commit(m); !errors.Is(err, syscall.ENOSPC) {
						t.Error(err)
					}
					undo()
					if name != fresh {
						wantMode(t, name, 0o640)
					}
					must(t, commit(m))
					wantMode(t, name, mode)
				}
			}
		})
	})
}

// After a commit with Chmod, the mode is that of the file again.
//
//promise:snapshot.MmapMut.Chmod after its commit, the mode is that of the file again
func TestChmodOnce(t *testing.T) {
	name := join(t.TempDir(), "f")
	m := create(t, name)
	must(t, m.Chmod(0o600))
	must(t, m.Commit())
	must(t, os.Chmod(name, 0o644))
	must(t, m.Commit())
	wantMode(t, name, 0o644)
}

//promise:snapshot.MmapMut.Chmod CommitTo and Link do not heed it
func TestChmodOwnNameOnly(t *testing.T) {
	dir := t.TempDir()
	name := join(dir, "f")
	write(t, name, []byte("old"))
	must(t, os.Chmod(name, 0o640))
	m := openMut(t, name)
	must(t, m.Chmod(0o600))
	must(t, m.CommitTo(join(dir, "to")))
	must(t, m.Link(join(dir, "link")))
	wantMode(t, join(dir, "to"), 0o640)
	wantMode(t, join(dir, "link"), 0o640)
	must(t, m.Commit())
	wantMode(t, name, 0o600)
}

// An ACL changes with the mode as chmod(2) changes it.
//
//promise:snapshot.MmapMut.Chmod an ACL changes as chmod(2) changes it
func TestChmodACL(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		ours, theirs := join(dir, "ours"), join(dir, "theirs")
		for _, name := range []string{ours, theirs} {
			write(t, name, []byte("old"))
			err := unix.Setxattr(name, "system.posix_acl_access", acl(1234), 0)
			if errors.Is(err, unix.ENOTSUP) {
				t.Skip("no ACLs:", err)
			}
			must(t, err)
		}
		m := openMut(t, ours)
		for range 2 { // the second commit changes nothing
			must(t, m.Chmod(0o620))
			must(t, m.Commit())
			must(t, os.Chmod(theirs, 0o620))
			if got, want := attributesOf(t, ours), attributesOf(t, theirs); got != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
			must(t, m.Commit())
		}
	})
}

// Where the new file has a temporary name, no other user can open it before it has the mode.
//
//promise:snapshot.MmapMut.Chmod no other user can open the new file before it has the mode
func TestChmodTemporaryName(t *testing.T) {
	dir := t.TempDir()
	seen := 0
	undo := systest.Intercept(t, func(string) error {
		names, _ := filepath.Glob(join(dir, ".*.mmapsnapshot-*"))
		for _, name := range names {
			if fi, err := os.Stat(name); err == nil && fi.Mode()&0o077 != 0 {
				t.Errorf("%s has mode %v", name, fi.Mode())
			}
			seen++
		}
		return nil
	})
	defer undo()
	defer systest.NoTmpfile()()
	m := create(t, join(dir, "f"))
	must(t, m.Chmod(0o600))
	must(t, m.Commit())
	wantMode(t, join(dir, "f"), 0o600)
	if seen == 0 {
		t.Error("no temporary name was seen")
	}
}

//promise:snapshot.MmapMut.Chmod with InPlace it is errors.ErrUnsupported
func TestChmodInPlace(t *testing.T) {
	name := join(mounttest.Dir(t, mounttest.Reflinks), "f")
	write(t, name, []byte("old"))
	m, err := inPlace.OpenMut(t.Context(), name)
	must(t, err)
	defer m.Close()
	wantError(t, m.Chmod(0o600), errors.ErrUnsupported, "chmod "+name+": with Config.InPlace, os.Chmod does it: unsupported operation")
	must(t, m.Close())
	if err := m.Chmod(0o600); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
}
