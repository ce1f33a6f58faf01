package adapters_test

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// TestFullDisk appends until the disk is full, then frees some of it. The file must hold what
// the counts say.
func TestFullDisk(t *testing.T) {
	for i, kind := range []string{"ext4", "btrfs", "xfs"} {
		if i >= mounttest.Count(1, 3, 3) {
			break // these must be large, and take seconds to fill
		}
		size := []int64{16 << 20, 128 << 20, 320 << 20}[i]
		t.Run(kind, func(t *testing.T) {
			dir := mounttest.Fresh(t, kind, size)
			m, err := snapshot.Create(filepath.Join(dir, "f"))
			supported(t, err)
			f := adapters.NewFile(m)
			defer f.Close()
			p := bytes.Repeat([]byte("full"), 1<<18)
			written := int64(0)
			for err == nil {
				var n int
				n, err = f.Write(p)
				written += int64(n)
				if written > size {
					t.Fatal("more was written than fits")
				}
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			if at, _ := f.Seek(0, io.SeekCurrent); f.Size() != written || at != written {
				t.Errorf("%d bytes were written, the size is %d, the cursor at %d", written, f.Size(), at)
			}
			got := make([]byte, len(p))
			for off := int64(0); off < written; off += int64(len(p)) {
				n, err := f.ReadAt(got, off)
				if err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(got[:n], p[:n]) {
					t.Fatalf("at %d: %d bytes, %v", off, n, err)
				}
			}
			if err := f.Truncate(1 << 20); err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(p, 1<<20); err != nil {
				t.Error(err)
			}
		})
	}
}
