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
//
//promise:adapters.File.Write a full disk is an error, and the count says how much was written
func TestFullDisk(t *testing.T) {
	for _, kind := range mounttest.Kinds(mounttest.Disk) {
		if kind.Smallest() > 1<<20*int64(mounttest.Count(64, 1024, 1024)) {
			continue // it takes seconds to fill
		}
		size := max(kind.Smallest(), 128<<20)
		t.Run(kind.String(), func(t *testing.T) {
			dir := kind.Fresh(t, size)
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
