package snapshot_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Link of a Mmap makes a new file, of the caller and with Config.Perm, wherever the contents are:
// in Go memory, in a private file, in a memfd.
//
//promise:snapshot.Mmap.Link the new file has the contents of the snapshot, and Config.Perm
//promise:snapshot.Mmap.Link nothing but the contents is taken over from the old file
//promise:snapshot.Mmap.Link a name that exists is fs.ErrExist
//promise:snapshot.Mmap.Link contents in memory get a name as well
//promise:snapshot.Mmap.Link Link writes to other filesystems
//promise:snapshot.Mmap.Link after Close the error is fs.ErrClosed
func TestLinkMmap(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		there := mounttest.Dir(t, mounttest.Memory)
		c := snapshot.Config{Perm: 0o640}
		for _, size := range []int{0, 1, 100_000, 300_000} {
			for _, place := range []string{inDirectory, inMemory} {
				name, data := join(dir, "f"), noise(1, size)
				write(t, name, data)
				must(t, os.Chmod(name, 0o4711))
				undo := func() {}
				if place == inMemory {
					undo = tmpfiles(t, 1000, syscall.EACCES)
				}
				m, err := c.Open(context.Background(), name)
				undo()
				must(t, err)
				must(t, os.Truncate(name, 0))
				for _, to := range []string{join(dir, "g"), join(there, "g")} {
					must(t, m.Link(to))
					wantFile(t, to, data)
					wantMode(t, to, 0o640)
				}
				must(t, os.Symlink("nowhere", join(dir, "h")))
				for _, taken := range []string{"f", "g", "h"} {
					err := m.Link(join(dir, taken))
					if !os.IsExist(err) || !errors.As(err, new(*os.LinkError)) {
						t.Errorf("%s: %v", taken, err)
					}
				}
				wantContents(t, m, data)
				must(t, m.Close())
				if err := m.Link(join(dir, "new")); !errors.Is(err, fs.ErrClosed) {
					t.Error(err)
				}
				wantNames(t, dir, "f", "g", "h")
				wantNames(t, there, "g")
				for _, made := range []string{name, join(dir, "g"), join(dir, "h"), join(there, "g")} {
					must(t, os.Remove(made))
				}
			}
		}
	})
}

// Link is a reflink where there are any, and durable.
//
//promise:snapshot.Mmap.Link Link is a reflink where the filesystem has them
//promise:snapshot.Mmap.Link with NoCopy, Link is errors.ErrUnsupported if there can be no reflink
//promise:snapshot.Mmap.Link Link syncs the file and then the directory, which NoSync leaves out
//promise:snapshot.Mmap.LinkContext if the context ends, no name is made
func TestLinkMmapCalls(t *testing.T) {
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name, data := join(dir, "f"), noise(1, 300_000)
		write(t, name, data)
		m := open(t, name)
		calls := systest.CountCalls(t)
		must(t, m.Link(join(dir, "g")))
		if copies := calls("copy_file_range") + calls("pwrite"); (copies == 0) != reflinks(dir) {
			t.Errorf("%d calls that copy", copies)
		}
		if n := calls("fsync"); n != 2 {
			t.Errorf("%d calls of fsync", n)
		}
		noSync, err := snapshot.Config{NoSync: true}.Open(context.Background(), name)
		must(t, err)
		closeLater(t, noSync)
		before := calls("fsync")
		must(t, noSync.Link(join(dir, "h")))
		if n := calls("fsync") - before; n != 1 {
			t.Errorf("NoSync: %d calls of fsync", n)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := m.LinkContext(ctx, join(dir, "i")); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if reflinks(dir) {
			there := mounttest.Dir(t, mounttest.Memory)
			m, err := snapshot.Config{NoCopy: true}.Open(context.Background(), name)
			must(t, err)
			closeLater(t, m)
			must(t, m.Link(join(dir, "j")))
			if err := m.Link(join(there, "j")); !errors.Is(err, errors.ErrUnsupported) {
				t.Error(err)
			}
			wantNames(t, there)
			must(t, os.Remove(join(dir, "j")))
		}
		wantFile(t, join(dir, "h"), data)
		wantNames(t, dir, "f", "g", "h")
	})
}

// A user who may read a file gives the snapshot a name in another directory, and owns it.
//
//promise:snapshot.Mmap.Link Link needs no permission for the file and its directory
//promise:snapshot.Mmap.Link the new file belongs to the caller
//promise:snapshot.Mmap.Link the name is looked up below Config.Root
func TestLinkMmapOfAnotherUser(t *testing.T) {
	mounttest.EachKind(t, mounttest.Known, func(t *testing.T, kind *mounttest.Kind) {
		var dir string
		data := noise(1, 200_000)
		if !mounttest.IsUserChild() {
			dir = kind.Dir(t)
			write(t, join(dir, "roots"), data)
			must(t, os.Mkdir(join(dir, "own"), 0o755))
			must(t, os.Chown(join(dir, "own"), 65534, 65534))
		}
		mounttest.AsUser(t, func(t *testing.T) {
			mounttest.Leaks(t)
			dir := os.Getenv("TEST_DIR")
			m := open(t, join(dir, "roots"))
			must(t, m.Link(join(dir, "own/f")))
			wantFile(t, join(dir, "own/f"), data)
			fi, err := os.Stat(join(dir, "own/f"))
			must(t, err)
			if st := fi.Sys().(*syscall.Stat_t); st.Uid != 65534 {
				t.Errorf("the file belongs to %d", st.Uid)
			}
			root, err := os.OpenRoot(dir)
			must(t, err)
			defer root.Close()
			below, err := snapshot.Config{Root: root}.Open(context.Background(), "roots")
			must(t, err)
			closeLater(t, below)
			must(t, below.Link("own/g"))
			wantFile(t, join(dir, "own/g"), data)
			if err := below.Link("../h"); err == nil || !isEscape(err) {
				t.Error(err)
			}
		}, "TEST_DIR="+dir)
	})
}

// Close beside a Link lets it complete, or fail, and leaves nothing behind.
//
//promise:snapshot.Mmap.Link beside Close, Link completes or fails with fs.ErrClosed
func TestLinkBesideClose(t *testing.T) {
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name, data := join(dir, "f"), noise(1, 300_000)
		write(t, name, data)
		closeAt := func(k int) (calls int, err error) {
			m, openErr := snapshot.Open(name)
			must(t, openErr)
			undo := systest.Intercept(t, func(string) error {
				if calls++; calls == k {
					must(t, m.Close())
				}
				return nil
			})
			err = m.Link(join(dir, "g"))
			undo()
			if calls < k {
				must(t, m.Close())
			}
			return calls, err
		}
		for k := 1; ; k++ {
			calls, err := closeAt(k)
			if err == nil {
				wantFile(t, join(dir, "g"), data)
				must(t, os.Remove(join(dir, "g")))
			} else if !errors.Is(err, fs.ErrClosed) {
				t.Errorf("Close before call %d: %v", k, err)
			}
			wantNames(t, dir, "f")
			if calls < k {
				break
			}
		}
	})
}

// A clone that the kernel cuts short, and reports as a success, gets no name.
//
//promise:snapshot.Mmap.Link a clone that was cut short gets no name
//promise:snapshot.MmapMut.Commit a clone that was cut short is not committed
func TestCloneCutShort(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name, data := join(dir, "f"), noise(1, 300_000)
		write(t, name, data)
		m, mut := open(t, name), openMut(t, name)
		clone := sys.Ficlone
		replace(t, &sys.Ficlone, func(dst, src int) error {
			must(t, clone(dst, src))
			return syscall.Ftruncate(dst, 4096)
		}, func() {
			for what, err := range map[string]error{
				"Link": m.Link(join(dir, "g")), "Commit": mut.Commit(), "CommitTo": mut.CommitTo(join(dir, "h")),
			} {
				if err == nil || !strings.Contains(err.Error(), "the clone has 4096 bytes, the private copy 300000") {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
		wantFile(t, name, data)
		wantNames(t, dir, "f")
		must(t, mut.Commit())
		must(t, m.Link(join(dir, "g")))
		wantFile(t, join(dir, "g"), data)
	})
}
