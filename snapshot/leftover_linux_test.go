package snapshot_test

import (
	"errors"
	"os"
	"slices"
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
		wantNames(t, dir, publish.TempName("f", 0), "f")
		must(t, os.WriteFile(join(dir, publish.TempName("f", 5)), nil, 0o600)) // as one of several at a time would
		must(t, commit(m))
		wantNames(t, dir, "f")
	})
}

// A commit removes no other file that has the name of a leftover: a file that a living process has
// locked, a file of another user, a file with another name as well, and anything but a regular file.
//
//promise:snapshot.MmapMut.Commit temporary names in use or of other owners are not removed
//promise:snapshot.MmapMut.Commit irregular files and files with several names are not removed
func TestOnlyLeftoversAreRemoved(t *testing.T) {
	needOwners(t)
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		slot := func(k int) string { return join(dir, publish.TempName("f", uint64(k))) }
		write(t, slot(0), []byte("in use"))
		inUse := openFile(t, slot(0), os.O_RDONLY)
		must(t, syscall.Flock(int(inUse.Fd()), syscall.LOCK_EX))
		write(t, slot(1), []byte("another's"))
		must(t, os.Chown(slot(1), 1234, 1234))
		write(t, slot(2), []byte("linked"))
		must(t, os.Link(slot(2), join(dir, "link")))
		must(t, os.Mkdir(slot(3), 0o755))
		must(t, os.Symlink("f", slot(4)))
		must(t, syscall.Mkfifo(slot(5), 0o644))
		must(t, os.Symlink("nowhere", slot(6)))
		want := []string{"f", "link"}
		for k := range 7 {
			want = append(want, publish.TempName("f", uint64(k)))
		}
		slices.Sort(want)
		wantNames(t, dir, want...)
		for range 2 { // with a slot that is free, and with none
			m := openMut(t, name)
			must(t, m.Resize(10))
			must(t, commit(m))
			wantFile(t, name, noise(1, 100)[:10])
			wantNames(t, dir, want...)
			if len(want) == 9 {
				must(t, os.Mkdir(slot(7), 0o755))
				want = append(want, publish.TempName("f", 7))
				slices.Sort(want)
			}
		}
		wantFile(t, slot(0), []byte("in use"))
		wantFile(t, slot(1), []byte("another's"))
		wantFile(t, slot(2), []byte("linked"))
	})
}

// From a directory that is append-only (chattr +a) a temporary name could not be removed: none is made.
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
