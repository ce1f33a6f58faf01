package snapshot_test

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// After a read that fails, the snapshot stays open: other pages can be read. If the disk can read
// the page again, the snapshot can, too.
//
//promise:snapshot.Mmap.ReadAt after EIO other pages can be read, and the next read asks the disk
//promise:snapshot.MmapMut.ReadAt after EIO other pages can be read, and the next read asks the disk
func TestAfterFailedRead(t *testing.T) {
	mounttest.EachKind(t, mounttest.Disk, func(t *testing.T, kind *mounttest.Kind) {
		mounttest.Leaks(t)
		d := newCutDisk(t, kind)
		snapshots := []reader{open(t, d.name), openMut(t, d.name)}
		must(t, syncfs(d.dir))
		disk, err := os.ReadFile(d.path)
		must(t, err)
		d.cut(t, false)
		for _, m := range snapshots {
			failed := readAll(t, m, d.data)
			if again := readAll(t, m, d.data); failed == 0 || again != failed {
				t.Errorf("%T: %d reads failed, then %d", m, failed, again)
			}
			if err := m.View(cutSize-1, 1, touch); !errors.Is(err, syscall.EIO) {
				t.Errorf("%T: View: %v", m, err)
			}
		}
		f, err := os.OpenFile(d.path, os.O_RDWR, 0)
		must(t, err)
		_, err = f.WriteAt(disk, 0)
		must(t, err)
		must(t, f.Close())
		for _, m := range snapshots {
			if failed := readAll(t, m, d.data); failed > 0 {
				t.Errorf("%T: %d reads fail of a disk that has all", m, failed)
			}
		}
	})
}

func touch(b []byte) error {
	_ = bytes.Clone(b)
	return nil
}
