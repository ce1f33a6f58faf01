package external

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// eachDisk runs f with a disk with each filesystem that has one.
func eachDisk(t *testing.T, f func(t *testing.T, d *fusetest.Disk, dir string)) {
	mounttest.EachKind(t, mounttest.Disk, func(t *testing.T, kind *mounttest.Kind) {
		d := fusetest.NewDisk(t, diskSize)
		f(t, d, d.Mount(t, kind))
	})
}

// breakPage has the disk fail page i of data, wherever it stands: a reflink shares it with the file,
// a copy has one of its own.
func breakPage(t *testing.T, d *fusetest.Disk, data []byte, i int) {
	t.Helper()
	d.FailReads(t, d.Find(t, data[i*page:][:page])...)
}

// wantPages reads page by page, and compares with what os.File says of the same pages in memory.
func wantPages(t *testing.T, m reader, data []byte, bad int) {
	t.Helper()
	f := private(t, filepath.Dir(m.Name()))
	defer f.Close()
	p, q := make([]byte, page), make([]byte, page)
	for i := range len(data) / page {
		off := int64(i * page)
		n, err := m.ReadAt(p, off)
		k, oerr := f.ReadAt(q, off)
		if n != k || (err == nil) != (oerr == nil) {
			t.Errorf("page %d: read %d, %v; os.File %d, %v", i, n, err, k, oerr)
		}
		near := bad >= 0 && off/lost == int64(bad*page)/lost
		if err == nil && i == bad || err != nil && !(near && errors.Is(err, syscall.EIO)) {
			t.Errorf("page %d: %v, while page %d is bad", i, err, bad)
		}
		wantBytes(t, "page", p[:n], data[off:][:n])
	}
}

// wantOnDisk checks what a file holds that is not in memory.
func wantOnDisk(t *testing.T, name string, want []byte) {
	t.Helper()
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	cool(t, f)
	got, err := os.ReadFile(name)
	must(t, err)
	wantBytes(t, name, got, want)
}

// What the kernel reads ahead in one piece fails as a whole. It marks what it did not get and asks
// again for each folio that a reader wants, and a folio of the page cache is one page when a read
// starts, and more and more of them as it goes on, up to the window of read-ahead, which is 128 KiB
// (Linux 6.18; btrfs has one page always). So a bad page takes its neighbours with it, those of
// its folio, for as long as that is in memory, and os.File fares no better.
const lost = 128 << 10
