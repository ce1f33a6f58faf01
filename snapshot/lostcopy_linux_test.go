package snapshot_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// isLost reports whether an error says that the kernel could not write dirty pages.
func isLost(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EIO)
}

// If the disk refuses the dirty pages of a private file, and the kernel forgets them, reading them
// is an error, in each way of it, and never shows zeros or old data. Reflinks have no dirty pages.
//
//promise:snapshot.Mmap.ReadAt pages of a copy that the disk refused are an error
//promise:snapshot.Mmap.View pages of a copy that the disk refused are an error
//promise:snapshot.MmapMut.Commit if a read met pages that the disk refused, commits fail
//promise:snapshot.MmapMut.ReadAt stores that the disk refused are an error
func TestLostCopy(t *testing.T) {
	const size = 1 << 20
	mounttest.EachKind(t, mounttest.Disk, func(t *testing.T, kind *mounttest.Kind) {
		mounttest.Leaks(t)
		d := newFullDisk(t, kind)
		must(t, d.m.Close())
		d.free(t)
		name := filepath.Join(filepath.Dir(d.name), "lost")
		data := noise(3, size)
		write(t, name, data)
		must(t, syncFile(name))
		snapshots := []reader{open(t, name), openMut(t, name)}
		_, err := snapshots[1].(*snapshot.MmapMut).WriteAt(noise(4, size), 0)
		must(t, err)
		var st unix.Statfs_t
		must(t, unix.Statfs(d.outer, &st))
		d.resize(t, (int64(st.Blocks)-int64(st.Bfree))*int64(st.Bsize))
		var e evictions
		e.evict(filepath.Dir(name))
		must(t, e.err)
		t.Logf("%d pages left memory, %d did not", e.pages, e.left)
		for i, m := range snapshots {
			want, failed := noise(3+uint64(i), size), 0
			for off := 0; off < size; off += 64 << 10 {
				p := make([]byte, 64<<10)
				check := func(what string, p []byte, err error) {
					if err != nil {
						if failed++; !isLost(err) {
							t.Errorf("%T: %s: %v", m, what, err)
						}
					} else if !bytes.Equal(p, want[off:off+len(p)]) {
						t.Errorf("%T, %v: %s at %d: other bytes, and no error", m, m.Method(), what, off)
					}
				}
				_, err := m.ReadAt(p, int64(off))
				check("ReadAt", p, err)
				err = m.View(int64(off), int64(len(p)), func(b []byte) error { copy(p, b); return nil })
				check("View", p, err)
				check("Prefetch", nil, m.Prefetch(int64(off), int64(len(p))))
			}
			t.Logf("%T, %v: %d reads failed", m, m.Method(), failed)
			lost := failed > 0
			resident := m.(interface{ Resident(off, n int64) bool }).Resident(0, 1)
			if b := m.Bytes(); lost == (b != nil) || lost && resident {
				t.Errorf("%T, lost: %v: Bytes has %d bytes, resident: %v", m, lost, len(b), resident)
			}
		}
		// The reads got the report that the commits wait for.
		d.free(t)
		for _, way := range ways {
			if err := way.do(snapshots[1].(*snapshot.MmapMut)); !isLost(err) {
				t.Errorf("%s: %v", way.name, err)
			}
		}
		wantFile(t, name, data)
	})
}
