package snapshot_test

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A commit that fails to write the changes to the disk breaks the snapshot: all later commits fail
// with the same error.
//
//promise:snapshot.MmapMut.Commit if changes could not reach the disk, all later commits fail
func TestFailedWritebackBreaksSnapshot(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 1000)
		write(t, name, data)
		for _, call := range []string{"writeback", "writebackerr"} {
			m := openMut(t, name)
			clear(m.Bytes())
			undo := systest.Intercept(t, func(c string) error {
				if c == call {
					return os.NewSyscallError("sync_file_range", syscall.ENOSPC)
				}
				return nil
			})
			wantError(t, m.Commit(), syscall.ENOSPC, "commit "+name+": the kernel could not write the private copy to the disk: "+
				"sync_file_range: no space left on device")
			undo()
			for _, way := range ways {
				if err := way.do(m); !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("%s: %v", way.name, err)
				}
			}
			if err := m.Link(name + "2"); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("Link: %v", err)
			}
			must(t, m.Close())
		}
		wantFile(t, name, data)
		wantNames(t, dir, "f")
	})
}

// ErrNotDurable tells that all was done but the last step.
//
//promise:snapshot.Config.NoSync Commit leaves out the fsync of the directory and no other
//promise:snapshot.Config.NoSync after a crash the file is the old or the new one, whole
//promise:snapshot.ErrNotDurable the file has the new contents; a repeated commit makes it durable
//promise:snapshot.Config the zero value makes durable commits
func TestNotDurable(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		name := join(dir, "f")
		for noSync, want := range map[bool]error{false: snapshot.ErrNotDurable, true: nil} {
			write(t, name, noise(1, 1000))
			m, err := snapshot.Config{NoSync: noSync}.OpenMut(context.Background(), name)
			must(t, err)
			must(t, m.Resize(10))
			syncs := 0
			undo := systest.Intercept(t, func(call string) error {
				if call == "fsync" {
					if syncs++; syncs == 2 { // the first is of the data
						return syscall.EIO
					}
				}
				return nil
			})
			err = commit(m)
			undo()
			if !errors.Is(err, want) || want != nil && !errors.Is(err, syscall.EIO) {
				t.Errorf("NoSync %v: %v", noSync, err)
			}
			if wantSyncs := map[bool]int{false: 2, true: 1}[noSync]; syncs != wantSyncs {
				t.Errorf("NoSync %v: %d times fsync", noSync, syncs)
			}
			wantFile(t, name, noise(1, 1000)[:10])
			wantNames(t, dir, "f")
			_ = m.Close()
		}
	})
}
