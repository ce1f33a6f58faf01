package snapshot_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// What the disk has lost is an error of reading, in each way of it, never a crash and never wrong
// bytes; what it has not lost is read.
//
//promise:snapshot.Mmap.ReadAt on a truncated disk ReadAt returns EIO and no wrong byte
//promise:snapshot.Mmap.View on a truncated disk View returns EIO and shows no wrong byte
func TestCutDiskReads(t *testing.T) {
	for _, kind := range mounttest.Kinds(mounttest.Disk) {
		for what, device := range map[string]bool{"backing": false, "device": true} {
			t.Run(kind.String()+" "+what, func(t *testing.T) {
				mounttest.Leaks(t)
				d := newCutDisk(t, kind)
				snapshots := []reader{open(t, d.name), openMut(t, d.name)}
				d.cut(t, device)
				for _, m := range snapshots {
					if failed := readAll(t, m, d.data); failed == 0 {
						t.Errorf("%T: no read failed", m)
					} else {
						t.Logf("%T: %d reads failed", m, failed)
					}
				}
			})
		}
	}
}

// A snapshot that is stored into and committed on such a disk gives errors or right data; a
// commit that cannot reach the disk says so, and the file is as it was where it can be read.
//
//promise:snapshot.MmapMut.Commit on a truncated disk Commit fails and the file is unchanged
func TestCutDiskWrites(t *testing.T) {
	mounttest.EachKind(t, mounttest.Disk, func(t *testing.T, kind *mounttest.Kind) {
		mounttest.Leaks(t)
		d := newCutDisk(t, kind)
		m := openMut(t, d.name)
		d.cut(t, true)
		want := bytes.Clone(d.data)
		p := noise(2, 10_000)
		stored, refused := 0, 0
		for off := 1000; off+len(p) <= cutSize; off += 50_000 {
			n, err := m.WriteAt(p, int64(off))
			copy(want[off:off+n], p)
			if err != nil {
				refused++
			} else if stored++; n != len(p) {
				t.Errorf("WriteAt: %d bytes, and no error", n)
			}
		}
		if stored == 0 && m.Method() == snapshot.Reflink { // a copy may lie wholly behind the cut
			t.Error("no store went well, and half of the file is there")
		}
		wantReadable(t, "stored", m, want)
		err := m.Commit()
		t.Logf("%d stores went well, %d did not; the commit: %v", stored, refused, err)
		if err == nil {
			t.Error("a commit to a device that is gone went well")
		} else if errors.Is(err, snapshot.ErrNotDurable) {
			return // published, as far as anybody can tell
		}
		if f, err := os.Open(d.name); err == nil {
			defer f.Close()
			wantReadable(t, "the file", f, d.data)
		} else {
			t.Logf("opening the file: %v", err)
		}
	})
}

// wantReadable checks what can be read.
func wantReadable(t *testing.T, what string, r io.ReaderAt, want []byte) {
	t.Helper()
	p := make([]byte, 4096)
	for off := 0; off < len(want); off += len(p) {
		n, err := r.ReadAt(p, int64(off))
		if err == nil && n != len(p) {
			t.Fatalf("%s: %d bytes at %d, and no error", what, n, off)
		}
		if !bytes.Equal(p[:n], want[off:off+n]) {
			t.Fatalf("%s: wrong bytes among the %d from %d on", what, n, off)
		}
	}
}
