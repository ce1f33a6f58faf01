package snapshot_test

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// eachDirectWriter runs f on each filesystem that copies while a process writes past the page cache.
func eachDirectWriter(t *testing.T, f func(t *testing.T, w *directWriter)) {
	mounttest.EachOf(t, onDisk|mounttest.NoReflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		f(t, newDirectWriter(t, dir))
	})
	t.Run("reflinks off", func(t *testing.T) {
		mounttest.Leaks(t)
		f(t, newDirectWriter(t, mounttest.Fresh(t, mounttest.ReflinksOff, 300<<20)))
	})
}

// One write(2) in progress when the copy begins has set the times already. If a lease can be had when
// the copy is done, the writer has left, and the file is copied anew under a lease: the copy is whole.
// Otherwise it can be torn, and then it is not settled.
//
// Whether a copy is torn depends on the speed of the disk, so the counts are only logged.
//
//promise:snapshot.LeasedCopy the copy is untorn beside one write(2) that was in progress
//promise:snapshot.Mmap.Settled no settled copy is torn by one write(2) in progress
func TestTornByWriteInProgress(t *testing.T) {
	n := mounttest.Count(4, 30, 1000)
	eachDirectWriter(t, func(t *testing.T, w *directWriter) {
		t.Run("leaves", func(t *testing.T) {
			got := w.opens(t, n, false)
			if got.copies[snapshot.LeasedCopy] < n || got.torn[snapshot.LeasedCopy] > 0 {
				t.Errorf("%+v", got)
			}
		})
		t.Run("stays", func(t *testing.T) { w.opens(t, n, true) })
		t.Run("of another user", func(t *testing.T) {
			refuseLeases(t, syscall.EACCES)
			w.opens(t, n, false)
		})
	})
}

// opens opens the file n times while a write is in progress.
func (w *directWriter) opens(t *testing.T, n int, stays bool) outcome {
	t.Helper()
	got := outcome{map[snapshot.Method]int{}, map[snapshot.Method]int{}, 0}
	for range n {
		ended := w.begin(t, stays)
		m, err := snapshot.Config{Progress: waiting(ended)}.Open(context.Background(), w.name)
		must(t, err)
		<-ended
		got.copies[m.Method()]++
		if isMixed(t, m) {
			got.torn[m.Method()]++
			if m.Settled() {
				t.Error("a settled copy is torn")
			}
		}
		must(t, m.Close())
	}
	t.Logf("copies %v, torn %v", got.copies, got.torn)
	return got
}

// A commit that checks does not undo the rest of a write(2) that was in progress when the file was
// opened, which has set the times before: it compares the contents.
//
//promise:snapshot.Config.CheckConflict the rest of a write(2) in progress at opening is ErrConflict
func TestConflictByWriteInProgress(t *testing.T) {
	n := mounttest.Count(4, 30, 1000)
	eachDirectWriter(t, func(t *testing.T, w *directWriter) {
		commits := func(t *testing.T, stays bool) (conflicts int) {
			ways := []func(m *snapshot.MmapMut) error{(*snapshot.MmapMut).Commit, (*snapshot.MmapMut).CommitAndClose}
			for i := range n {
				ended := w.begin(t, stays)
				c := snapshot.Config{CheckConflict: true, Progress: waiting(ended)}
				m, err := c.OpenMut(context.Background(), w.name)
				must(t, err)
				<-ended
				err = ways[i%2](m)
				_ = m.Close()
				if errors.Is(err, snapshot.ErrConflict) {
					conflicts++
				} else {
					must(t, err)
				}
				m = openMut(t, w.name)
				if isMixed(t, m) {
					t.Error("the commit undid a part of the write")
				}
				must(t, m.Close())
			}
			t.Logf("%d commits, %d conflicts", n, conflicts)
			return conflicts
		}
		t.Run("leaves", func(t *testing.T) {
			if got := commits(t, false); got > 0 {
				t.Errorf("%d conflicts", got)
			}
		})
		t.Run("stays", func(t *testing.T) { commits(t, true) })
		t.Run("of another user", func(t *testing.T) {
			refuseLeases(t, syscall.EACCES)
			commits(t, false)
		})
	})
}

// The first commit of a ComparedCopy finds changes that do not show in the times, such as stores
// through a mapping; later commits compare nothing.
//
//promise:snapshot.Config.CheckConflict the first commit of a ComparedCopy compares the contents
func TestConflictByContents(t *testing.T) {
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		for _, at := range []int64{0, 300 << 10, 1<<20 - 1, -1} {
			write(t, name, make([]byte, 1<<20))
			systest.IgnoreTimes(t)
			f := openFile(t, name, syscall.O_RDWR)
			m, err := checking.OpenMut(context.Background(), name)
			must(t, err)
			if at >= 0 {
				_, err = f.WriteAt([]byte("x"), at)
				must(t, err)
				if err := m.Commit(); !errors.Is(err, snapshot.ErrConflict) {
					t.Errorf("a change at %d: %v", at, err)
				}
			} else {
				_, err = m.WriteAt([]byte("y"), 0)
				must(t, err)
				must(t, m.Commit())
				must(t, m.Commit())
			}
			must(t, f.Close())
			must(t, m.Close())
		}
	})
}
