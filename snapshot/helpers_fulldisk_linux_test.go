package snapshot_test

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A fullDisk is a filesystem whose device cannot store what was not stored before, as its image
// lies on a filesystem that is full.
type fullDisk struct {
	name      string // of a file on it, of which an open snapshot holds stores not written yet
	old, data []byte // what the file and what the snapshot holds
	m         *snapshot.MmapMut
	outer     string
}

const outerSize = 2 * imageSize

func newFullDisk(t testing.TB, kind *mounttest.Kind) *fullDisk {
	t.Helper()
	outer := mounttest.Fresh(t, mounttest.Memory, outerSize)
	i := newImage(t, kind, join(outer, "image"))
	i.mount(t)
	dir := join(i.dir, "d")
	must(t, os.Mkdir(dir, 0o777))
	d := &fullDisk{name: join(dir, "f"), old: noise(1, 256<<10), data: noise(2, 256<<10), outer: outer}
	write(t, d.name, d.old)
	must(t, syncfs(dir))
	d.m = openMut(t, d.name)

	var st unix.Statfs_t
	must(t, unix.Statfs(outer, &st))
	d.resize(t, (int64(st.Blocks)-int64(st.Bfree))*int64(st.Bsize))
	_, err := d.m.WriteAt(d.data, 0)
	must(t, err)
	return d
}

// free makes room: from now on all goes well again.
func (d *fullDisk) free(t testing.TB) { d.resize(t, outerSize) }

// resize makes the filesystem that the image lies on as large as that.
func (d *fullDisk) resize(t testing.TB, size int64) {
	t.Helper()
	err := unix.Mount("", d.outer, "", unix.MS_REMOUNT, fmt.Sprint("size=", size))
	must(t, os.NewSyscallError("remount", err))
}
