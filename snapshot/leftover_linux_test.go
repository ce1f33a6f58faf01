package snapshot_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/publish"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// What a crash between the two steps of naming left is removed by the next commit of that file.
//
//promise:snapshot.MmapMut.Commit the next commit removes a temporary name that a crash left
func TestLeftoverIsRemoved(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		m := openMut(t, name)
		undo := systest.Intercept(t, func(call string) error {
			if call == "renameat" || call == "unlinkat" {
				return syscall.EIO
			}
			return nil
		})
		if err := m.Commit(); err == nil {
			t.Error("no error")
		}
		undo()
		wantNames(t, dir, publish.TempName("f"), "f")
		must(t, commit(m))
		wantNames(t, dir, "f")
	})
}

// A commit removes no other file that has the name of a leftover: a file that a living process has
// locked or holds a lease on, a file of another user, a file with another name as well, and
// anything but a regular file. It uses another name and does not wait.
//
//promise:snapshot.MmapMut.Commit temporary names in use or of other owners are not removed
//promise:snapshot.MmapMut.Commit irregular files and files with several names are not removed
func TestOnlyLeftoversAreRemoved(t *testing.T) {
	needOwners(t)
	for what, plant := range map[string]func(t *testing.T, slot string){
		"in use": func(t *testing.T, slot string) {
			write(t, slot, []byte("in use"))
			must(t, syscall.Flock(int(openFile(t, slot, os.O_RDONLY).Fd()), syscall.LOCK_EX))
		},
		"another's": func(t *testing.T, slot string) {
			write(t, slot, []byte("another's"))
			must(t, os.Chown(slot, 1234, 1234))
		},
		"linked": func(t *testing.T, slot string) {
			write(t, slot, []byte("linked"))
			must(t, os.Link(slot, join(filepath.Dir(slot), "link")))
		},
		"directory":     func(t *testing.T, slot string) { must(t, os.Mkdir(slot, 0o755)) },
		"link":          func(t *testing.T, slot string) { must(t, os.Symlink("f", slot)) },
		"dangling link": func(t *testing.T, slot string) { must(t, os.Symlink("nowhere", slot)) },
		"FIFO":          func(t *testing.T, slot string) { must(t, syscall.Mkfifo(slot, 0o644)) },
	} {
		t.Run(what, func(t *testing.T) {
			eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
				name, slot := join(dir, "f"), join(dir, publish.TempName("f"))
				write(t, name, noise(1, 100))
				plant(t, slot)
				before, err := os.Lstat(slot)
				must(t, err)
				want := namesIn(t, dir)
				m := openMut(t, name)
				must(t, m.Resize(10))
				must(t, commit(m))
				wantFile(t, name, noise(1, 100)[:10])
				wantNames(t, dir, want...)
				if after, err := os.Lstat(slot); err != nil || !os.SameFile(before, after) || before.Size() != after.Size() {
					t.Errorf("it is another file: %v, %v, %v", before, after, err)
				}
			})
		})
	}
}

// From a directory that is append-only (chattr +a) a temporary name could not be removed: none is
// made.
//
//promise:snapshot.MmapMut.Commit an append-only directory never gets a temporary name
func TestAppendOnlyDirectory(t *testing.T) {
	const appendOnly = 0x20 // FS_APPEND_FL of linux/fs.h
	mounttest.Need(t, "CAP_LINUX_IMMUTABLE")
	mounttest.EachOf(t, mounttest.Disk, func(t *testing.T, dir string) {
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		m := openMut(t, name)
		fd := int(openFile(t, dir, os.O_RDONLY).Fd())
		flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
		must(t, err)
		must(t, unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags|appendOnly)))
		defer func() { must(t, unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags))) }()
		for _, way := range ways {
			if err := way.do(m); !errors.Is(err, syscall.EPERM) {
				t.Errorf("%s: %v", way.name, err)
			}
		}
		wantNames(t, dir, "f")
		must(t, m.Link(name+"2"))
		wantNames(t, dir, "f", "f2")
	})
}
