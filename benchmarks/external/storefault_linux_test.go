package external

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// A store into a part of a page has to read the rest of it. Where that fails, the error is EIO, what
// was stored before it counts and is there, and nothing else has changed. A store of whole pages does
// not read, and mends the page.
//
//promise:snapshot.MmapMut.View a store that cannot read the rest of its page makes View return EIO
//promise:snapshot.MmapMut.WriteAt a store that cannot read the rest of its page is EIO
func TestStoreFault(t *testing.T) {
	eachDisk(t, func(t *testing.T, d *fusetest.Disk, dir string) {
		const bad = 40
		name := filepath.Join(dir, "f")
		data := noise(64 * page)
		write(t, name, data)
		m := openCold(t, "MmapMut", name).(*snapshot.MmapMut)
		breakPage(t, d, data, bad)

		p := noise(page + 20) // from page 39 to 30 bytes into page 40
		off := int64(bad-1)*page + 10
		n, err := m.WriteAt(p, off)
		if n > page-10 || !errors.Is(err, syscall.EIO) {
			t.Errorf("WriteAt: %d, %v", n, err)
		}
		copy(data[off:], p[:n])
		err = m.View(0, -1, func(b []byte) error {
			b[bad*page+5] = 'x'
			return nil
		})
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("View: %v", err)
		}
		// Nothing of that breaks it: whole pages can be stored, and committed.
		mended := noise(4 * page)
		_, err = m.WriteAt(mended, (bad-2)*page)
		must(t, err)
		copy(data[(bad-2)*page:], mended)
		wantPages(t, m, data, -1)
		must(t, m.Commit())
		d.Heal(t)
		wantOnDisk(t, name, data)
		must(t, m.Close())
	})
}
