package mounttest_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Data that is written to the filesystem is in the image, and the kernel wrote it by direct I/O.
//
//promise:mounttest.Kind.On On mounts the image of the caller and uses direct I/O
//promise:mounttest.Kind.Options mount(2) accepts the options
func TestOnUsesDirectIO(t *testing.T) {
	for _, kind := range mounttest.Kinds(mounttest.Disk) {
		t.Run(kind.String(), func(t *testing.T) {
			image, err := os.Create(filepath.Join(mounttest.Dir(t, mounttest.Disk|mounttest.NoReflinks), "image"))
			if err != nil {
				t.Fatal(err)
			}
			defer image.Close()
			if err := image.Truncate(320 << 20); err != nil {
				t.Fatal(err)
			}
			var dir string
			t.Run("first", func(t *testing.T) { kind.On(t, image) })
			t.Run("again", func(t *testing.T) {
				dir = kind.On(t, image)
				if got := mounttest.KindOf(dir); got != kind {
					t.Errorf("KindOf(%s) = %q", dir, got)
				}
				device := deviceOver(t, image.Name())
				if dio, err := os.ReadFile(filepath.Join(device, "loop/dio")); string(dio) != "1\n" {
					t.Errorf("direct I/O: %q, %v", dio, err)
				}
				writeThrough(t, dir, image)
			})
			if dir == "" {
				return // skipped, with the reason
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("Stat(%s) = %v after the test", dir, err)
			}
			wantSoonNone(t, "loop devices", func() []string { return loopDevices(t, image.Name()) })
		})
	}
	mkfsFails := fake(t, func(tb testing.TB) {
		empty, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer empty.Close()
		mounttest.Kinds(mounttest.Disk)[0].On(tb, empty)
	})
	if mkfsFails.skipped == "" {
		mkfsFails.wantFailure(t, "mkfs.xfs")
	}
	fake(t, func(tb testing.TB) { mounttest.Kinds(mounttest.Memory)[0].On(tb, nil) }).wantFailure(t, "lies on no disk")
}

// deviceOver returns the directory in /sys of the loop device over an image.
func deviceOver(t *testing.T, image string) string {
	t.Helper()
	for _, name := range loopDevices(t, image) {
		return strings.TrimSuffix(name, "/loop/backing_file")
	}
	t.Fatalf("no loop device over %s", image)
	return ""
}

// writeThrough writes to a file in dir and looks for that in the image.
func writeThrough(t *testing.T, dir string, image *os.File) {
	t.Helper()
	data := make([]byte, 64<<10)
	_, _ = rand.Read(data)
	f, err := os.Create(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	for off := int64(0); ; off += 1 << 20 {
		off, err = unix.Seek(int(image.Fd()), off, unix.SEEK_DATA)
		if err != nil {
			t.Fatalf("what was written is not in the image: %v", err)
		}
		all := make([]byte, 1<<20+len(data))
		if n, _ := image.ReadAt(all, off); bytes.Contains(all[:n], data) {
			return
		}
	}
}
