package snapshot_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// After Prefetch, which fills the page cache with large folios, WriteAt still makes a filesystem
// write the blocks that change, and no others. XFS reserves 128 KiB for each.
//
//promise:snapshot.MmapMut.WriteAt after Prefetch, 100 stores of one byte take at most 16 MiB of disk space
func TestStoresAfterPrefetch(t *testing.T) {
	mounttest.EachOf(t, mounttest.Disk|mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		const size, stores = 64 << 20, 100
		name := join(dir, "f")
		write(t, name, noise(1, size))
		must(t, syncFile(name))
		used := map[string]int64{}
		for what, store := range map[string]func(m *snapshot.MmapMut, off int64) error{
			"WriteAt": func(m *snapshot.MmapMut, off int64) error {
				_, err := m.WriteAt([]byte{1}, off)
				return err
			},
			"View": func(m *snapshot.MmapMut, off int64) error {
				return m.View(off, 1, func(b []byte) error {
					b[0]++
					return nil
				})
			},
		} {
			m := openMut(t, name)
			must(t, m.Prefetch(0, -1))
			must(t, syncfs(dir))
			before := usedBytes(t, dir)
			for i := range int64(stores) {
				must(t, store(m, i*size/stores))
			}
			must(t, unix.Fsync(snapshot.Region(m).FD()))
			must(t, syncfs(dir))
			used[what] = usedBytes(t, dir) - before
			must(t, m.Close())
			must(t, syncfs(dir))
		}
		t.Logf("bytes of disk space: %v", used)
		if used["WriteAt"] > 16<<20 {
			t.Errorf("%d stores of a byte took %d bytes", stores, used["WriteAt"])
		}
	})
}
