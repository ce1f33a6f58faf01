package snapshot_test

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Another user's small file is a reflink if its directory can hold one, and else read and
// compared, before TempDir. RequireConsistent and NoCopy allow no such copy.
//
//promise:snapshot.ComparedCopy another user's small file is read and compared where its directory can hold no reflink
//promise:snapshot.Config.NoCopy a small file is a Reflink, or an error
func TestSmallFileOfOthers(t *testing.T) {
	mounttest.EachOf(t, mounttest.Leases, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 5000))
		path := openPathFile(t, name)
		opens := []func(c snapshot.Config) (*snapshot.Mmap, error){
			func(c snapshot.Config) (*snapshot.Mmap, error) { return c.Open(context.Background(), name) },
			func(c snapshot.Config) (*snapshot.Mmap, error) { return c.FromFile(context.Background(), path) },
		}
		reflinks := mounttest.Has(dir, mounttest.Reflinks)
		set := sys.SetLease
		defer func() { sys.SetLease = set }()
		sys.SetLease = func(int, int) error { return syscall.EACCES }
		check := func(what string, c snapshot.Config, want snapshot.Method, tmpfiles int) {
			t.Helper()
			for _, open := range opens {
				calls := systest.CountCalls(t)
				m, err := open(c)
				if err != nil {
					t.Errorf("%s: %v", what, err)
					return
				}
				wantContents(t, m, noise(1, 5000))
				if n := calls("tmpfile excl at"); m.Method() != want || n != tmpfiles {
					t.Errorf("%s: %v, %d attempts to make a private file; want %v, %d",
						what, m.Method(), n, want, tmpfiles)
				}
				must(t, m.Close())
			}
		}
		if reflinks {
			check("writable directory", snapshot.Config{}, snapshot.Reflink, 1)
		} else {
			check("writable directory", snapshot.Config{}, snapshot.ComparedCopy, 0)
			_, err := snapshot.Config{RequireConsistent: true}.Open(context.Background(), name)
			if !errors.Is(err, snapshot.ErrUnstable) {
				t.Errorf("RequireConsistent: %v", err)
			}
		}
		for _, refused := range []struct {
			call  string
			errno syscall.Errno
		}{
			{"tmpfile excl at", syscall.EACCES}, // the directory is not writable
			{"tmpfile excl at", syscall.EMFILE},
			{"tmpfile excl at", syscall.ENOSPC}, // no inode is free
			{"ficlone", syscall.ENOSPC},
			{"ficlone", syscall.EDQUOT},
			{"ficlone", syscall.EXDEV}, // the file is mounted by itself
		} {
			for _, open := range opens {
				undo := systest.Intercept(t, func(call string) error {
					switch call {
					case refused.call:
						return refused.errno
					case "opendir", "tmpfile excl", "memfd":
						t.Errorf("%v of %s: %s is called", refused.errno, refused.call, call)
					}
					return nil
				})
				m, err := open(snapshot.Config{TempDir: dir})
				undo()
				must(t, err)
				if m.Method() != snapshot.ComparedCopy {
					t.Errorf("%v of %s: %v", refused.errno, refused.call, m.Method())
				}
				wantContents(t, m, noise(1, 5000))
				must(t, m.Close())
			}
		}

		sys.SetLease = set
		_, err := snapshot.Config{NoCopy: true}.Open(context.Background(), name)
		if reflinks != (err == nil) || !reflinks && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("NoCopy: %v", err)
		}
	})
}
