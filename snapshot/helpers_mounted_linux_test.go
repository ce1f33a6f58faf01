package snapshot_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// mounted mounts source until the test ends, as a filesystem of that kind or, without one, as a
// bind mount, and returns where.
func mounted(t *testing.T, source, kind, options string) (dir string) {
	t.Helper()
	dir = mounttest.Dir(t, mounttest.Host)
	flags := uintptr(0)
	if kind == "" {
		flags = unix.MS_BIND
	}
	if err := unix.Mount(source, dir, kind, flags, options); err != nil {
		t.Skipf("mount %s: %v", kind, err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(dir, 0)) })
	return dir
}

// imageOf makes a read-only filesystem with one file by a program, whose arguments $dir and $image
// it replaces, mounts it, and returns the name of the file.
func imageOf(t *testing.T, kind, program string, args ...string) (name string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skip(err)
	}
	dir, image := t.TempDir(), join(t.TempDir(), "image")
	write(t, join(dir, "f"), noise(1, 200_000))
	old := time.Unix(1_600_000_000, 0) // no change is waited for
	must(t, os.Chtimes(join(dir, "f"), old, old))
	for i := range args {
		args[i] = strings.NewReplacer("$dir", dir, "$image", image).Replace(args[i])
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	at := mounttest.Dir(t, mounttest.Host)
	mount := exec.Command("mount", "-t", kind, "-o", "loop,ro", image, at)
	mount.Env = append(os.Environ(), "LANG=C")
	if out, err := mount.CombinedOutput(); err != nil {
		t.Skipf("%v: %s", err, out)
	}
	t.Cleanup(func() { must(t, unix.Unmount(at, 0)) })
	return join(at, "f")
}
