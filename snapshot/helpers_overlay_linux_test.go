package snapshot_test

import (
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// An overlay is an overlayfs: merged shows the files of lower, and those of upper before them.
type overlay struct {
	lower, upper, merged string
	data                 []byte // of the file "lower", and of the file "upper", each in its layer
	oneFilesystem        bool   // has both layers, and reflinks
}

// overlays runs f on an overlayfs over two filesystems, in every way that matters: with and
// without reflinks in either.
func overlays(t *testing.T, f func(t *testing.T, o overlay)) {
	for _, layers := range []struct {
		name         string
		lower, upper mounttest.Property
	}{
		{"disk below memory", onDisk, mounttest.Memory},
		{"reflinks below none", mounttest.Reflinks, onDisk},
		{"none below reflinks", onDisk, mounttest.Reflinks},
		{"one with reflinks", mounttest.Reflinks, mounttest.Reflinks},
	} {
		t.Run(layers.name, func(t *testing.T) { f(t, newOverlay(t, layers.lower, layers.upper)) })
	}
}

func newOverlay(t *testing.T, lower, upper mounttest.Property) overlay {
	t.Helper()
	mounttest.Need(t, "CAP_SYS_ADMIN")
	top := mounttest.Dir(t, upper)
	o := overlay{mounttest.Dir(t, lower), join(top, "upper"), join(top, "merged"), noise(7, 100000), lower == upper && reflinks(top)}
	for _, dir := range []string{o.upper, o.merged, join(top, "work")} {
		must(t, os.Mkdir(dir, 0o755))
	}
	write(t, join(o.lower, "lower"), o.data)
	write(t, join(o.upper, "upper"), o.data)
	options := "lowerdir=" + o.lower + ",upperdir=" + o.upper + ",workdir=" + join(top, "work")
	must(t, unix.Mount("overlay", o.merged, "overlay", 0, options))
	t.Cleanup(func() { must(t, unix.Unmount(o.merged, 0)) })
	return o
}

// readOnly shows a directory a second time, at the place returned, where nothing can be changed.
func readOnly(t *testing.T, dir string) string {
	t.Helper()
	at := mounttest.Dir(t, mounttest.Host)
	must(t, unix.Mount(dir, at, "", unix.MS_BIND, ""))
	t.Cleanup(func() { must(t, unix.Unmount(at, 0)) })
	must(t, unix.Mount("", at, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	return at
}
