package snapshot_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// kernelWrites has the kernel write the stores of the snapshot as it does at any time by
// itself.
func (d *fullDisk) kernelWrites(t testing.TB) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, e := range entries {
		link := "/proc/self/fd/" + e.Name()
		to, _ := os.Readlink(link)
		if !strings.HasPrefix(to, filepath.Dir(d.name)) || !strings.HasSuffix(to, " (deleted)") {
			continue
		}
		f, err := os.OpenFile(link, os.O_RDWR, 0) // an error is reported once for each opening
		must(t, err)
		defer f.Close()
		const startAndWait = unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
		if err := unix.SyncFileRange(int(f.Fd()), 0, 0, startAndWait); err != unix.ENOSPC {
			t.Errorf("writing the private file: %v", err)
		}
		return
	}
	t.Error("no private file")
}

// Stores that could not be written to the disk are never committed as if they had been, even if
// there is room again: the kernel has forgotten them, and a clone of the private file holds old
// data. The file is as it was, and who opens it anew can go on.
//
//promise:snapshot.MmapMut.Commit stores that the disk lost are never committed as old data
func TestCrashWriteback(t *testing.T) {
	mounttest.EachKind(t, mounttest.Disk, func(t *testing.T, kind *mounttest.Kind) {
		for _, way := range ways {
			if way.name != wayCommit && way.name != wayClose {
				continue
			}
			t.Run(way.name, func(t *testing.T) {
				d := newFullDisk(t, kind)
				d.wantFailure(t, way.do)
				d.free(t)
				d.wantBroken(t)
			})
			t.Run(way.name+"Later", func(t *testing.T) {
				d := newFullDisk(t, kind)
				d.kernelWrites(t)
				d.free(t)
				d.wantFailure(t, way.do)
				d.wantBroken(t)
			})
		}
	})
}

// wantFailure checks that a commit fails and changes nothing.
func (d *fullDisk) wantFailure(t testing.TB, commit func(*snapshot.MmapMut) error) {
	t.Helper()
	// btrfs may report the failure once more, as EIO.
	if err := commit(d.m); !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EIO) {
		t.Errorf("%v: is not %v", err, syscall.ENOSPC)
	}
	wantFile(t, d.name, d.old)
	wantNames(t, filepath.Dir(d.name), "f")
}

// wantBroken checks that the snapshot can do nothing any more, and a new one can.
func (d *fullDisk) wantBroken(t testing.TB) {
	t.Helper()
	for _, way := range ways {
		d.wantFailure(t, way.do)
	}
	d.wantFailure(t, func(m *snapshot.MmapMut) error { return m.Link(d.name + "2") })
	must(t, d.m.Close())
	m := openMut(t, d.name)
	_, err := m.WriteAt(d.data, 0)
	must(t, err)
	must(t, m.CommitAndClose())
	wantFile(t, d.name, d.data)
}

// A commit that does not look for the errors of the writeback publishes old data and says
// nothing, so the test above proves something. (It has several chances, as btrfs may report the
// failure once more, from the clone. On ext4 it does no harm: what is copied there are the
// pages in memory, which hold the stores as long as they are mapped.)
func TestCrashControlWriteback(t *testing.T) {
	mounttest.EachKind(t, mounttest.Reflinks, func(t *testing.T, kind *mounttest.Kind) {
		systest.IgnoreWriteback(t)
		for range 10 {
			d := newFullDisk(t, kind)
			d.kernelWrites(t)
			d.free(t)
			err := d.m.Commit()
			got, rerr := os.ReadFile(d.name)
			must(t, rerr)
			if err == nil && bytes.Equal(got, d.old) {
				return
			}
			t.Logf("the commit: %v", err)
		}
		t.Error("this harness proves nothing: no stores are lost silently")
	})
}
