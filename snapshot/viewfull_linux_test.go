package snapshot_test

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// A store in a View that finds no room is ENOSPC, loses nothing, and later the snapshot can be
// used and committed as ever.
//
//promise:snapshot.MmapMut.View a store on a full disk is an error of View, no earlier store is lost
func TestViewFullDisk(t *testing.T) {
	onSmallDisks(t, func(t *testing.T, dir string) {
		name := join(dir, "f")
		const hole = 4 << 20 // and as much of data
		data := append(noise(1, hole), make([]byte, hole)...)
		write(t, name, data[:hole])
		must(t, os.Truncate(name, 2*hole))
		m := openMut(t, name)
		fill(t, join(dir, "filler"))

		stored := 0
		err := m.View(0, -1, func(b []byte) error {
			for off := 2*hole - 4096; off >= 0; off -= 4096 {
				b[off] = 7
				stored++
				data[off] = 7
			}
			return nil
		})
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("after %d stores: %v", stored, err)
		}
		// Not by Bytes: on a full tmpfs, reading a hole by a mapping faults.
		wantBytes(t, "ReadAt", byReadAt(t, m), data)
		must(t, os.Remove(join(dir, "filler")))
		_, err = m.WriteAt([]byte("more"), hole+10)
		must(t, err)
		copy(data[hole+10:], "more")
		must(t, m.Commit())
		wantFile(t, name, data)
		must(t, m.Close())
	})
}
