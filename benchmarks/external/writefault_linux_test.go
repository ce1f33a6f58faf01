package external

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// A disk that cannot write what was stored is EIO, of the commit that finds out or, if the kernel found
// out before, of the next one. The file is as it was, on the disk, too, no name is left, and the
// snapshot cannot be committed any more, even if the disk works again.
func TestWriteFault(t *testing.T) {
	eachDisk(t, func(t *testing.T, d *fusetest.Disk, dir string) {
		for way, commit := range commits {
			for _, when := range []string{"", "Later"} {
				t.Run(way+when, func(t *testing.T) {
					dir := filepath.Join(dir, way+when)
					must(t, os.Mkdir(dir, 0o777))
					name := filepath.Join(dir, "f")
					old, data := noise(64*page), noise(64*page)
					write(t, name, old)
					m, err := snapshot.OpenMut(name)
					must(t, err)
					defer m.Close()
					// Only these writes fail: a filesystem that cannot write its own blocks
					// shuts down.
					d.FailWritesOf(t, data[40*page:][:16])
					_, err = m.WriteAt(data, 0)
					must(t, err)
					if when == "Later" {
						kernelWrites(t, dir)
						d.Heal(t)
					}
					wantBroken := func(way string, err error) {
						if !errors.Is(err, syscall.EIO) {
							t.Errorf("%s: %v", way, err)
						}
						wantOnDisk(t, name, old)
						wantNames(t, dir, "f")
					}
					wantBroken(way, commit(m))
					d.Heal(t)
					for again, commit := range commits {
						wantBroken(way+", then "+again, commit(m))
					}
					must(t, m.Close())
					m, err = snapshot.OpenMut(name)
					must(t, err)
					defer m.Close()
					_, err = m.WriteAt(data, 0)
					must(t, err)
					must(t, m.CommitAndClose())
					wantOnDisk(t, name, data)
				})
			}
		}
	})
}

// kernelWrites has the kernel write the stores of the one snapshot of a file in dir, as it does at any
// time by itself.
func kernelWrites(t *testing.T, dir string) {
	t.Helper()
	f := private(t, dir) // an error is reported once for each opening
	defer f.Close()
	const startAndWait = unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	if err := unix.SyncFileRange(int(f.Fd()), 0, 0, startAndWait); err != unix.EIO {
		t.Errorf("writing the private file: %v", err)
	}
}

// With a disk that is gone, everything is an error or right, nothing crashes and nothing hangs.
func TestDeadDisk(t *testing.T) {
	eachDisk(t, func(t *testing.T, d *fusetest.Disk, dir string) {
		name := filepath.Join(dir, "f")
		data := noise(64 * page)
		write(t, name, data)
		r := openCold(t, "Mmap", name)
		_, err := r.ReadAt(make([]byte, page), 0)
		must(t, err)
		must(t, r.Close())
		r = openCold(t, "Mmap", name)
		m, err := snapshot.OpenMut(name)
		must(t, err)
		defer m.Close()
		stored := noise(8 * page)
		_, err = m.WriteAt(stored, 0)
		must(t, err)
		d.FailReads(t, fusetest.Everything)
		d.FailWrites(t, fusetest.Everything)

		if n, err := r.ReadAt(make([]byte, len(data)), 0); n != 0 || !errors.Is(err, syscall.EIO) {
			t.Errorf("ReadAt: %d, %v", n, err)
		}
		if got, n, err := byView(t, r); n != 0 || !errors.Is(err, syscall.EIO) {
			t.Errorf("View: %d bytes, %v", len(got), err)
		}
		if err := r.Prefetch(0, -1); !errors.Is(err, syscall.EIO) {
			t.Errorf("Prefetch: %v", err)
		}
		got := make([]byte, len(stored))
		_, err = m.ReadAt(got, 0)
		must(t, err)
		wantBytes(t, "what was stored", got, stored)
		for way, commit := range commits {
			if err := commit(m); !errors.Is(err, syscall.EIO) {
				t.Errorf("%s: %v", way, err)
			}
		}
		must(t, r.Close())
		must(t, m.Close())
	})
}
