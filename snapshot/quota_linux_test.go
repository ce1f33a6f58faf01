package snapshot_test

import (
	"errors"
	"os/exec"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Stores for which the quota has no room are EDQUOT, by WriteAt and by View, and lose nothing
// that was stored; with more room everything goes on.
//
//promise:snapshot.MmapMut.WriteAt a store beyond the quota is EDQUOT and loses no earlier store
//promise:snapshot.MmapMut.View a store beyond the quota is EDQUOT, on btrfs EFAULT the first time
func TestQuota(t *testing.T) {
	run := func(t *testing.T, args ...string) {
		t.Helper()
		if out, err := exec.Command("btrfs", args...).CombinedOutput(); err != nil {
			t.Fatalf("btrfs %v: %v\n%s", args, err, out)
		}
	}
	const size = 16 << 20
	for what, store := range map[string]func(m *snapshot.MmapMut, off int64, p []byte) error{
		"WriteAt": func(m *snapshot.MmapMut, off int64, p []byte) error {
			_, err := m.WriteAt(p, off)
			return err
		},
		"View": func(m *snapshot.MmapMut, off int64, p []byte) error {
			for {
				err := m.View(off, int64(len(p)), func(b []byte) error {
					copy(b, p)
					return nil
				})
				if !errors.Is(err, syscall.EFAULT) { // looking for the reason made room
					return err
				}
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			mounttest.Leaks(t)
			dir := mounttest.Fresh(t, mounttest.Subvolumes, 128<<20)
			run(t, "quota", "enable", dir)
			run(t, "subvolume", "create", join(dir, "sub"))
			run(t, "qgroup", "limit", "4M", join(dir, "sub"))
			name := join(dir, "sub/f")
			write(t, name, []byte("old"))
			m := openMut(t, name)
			must(t, m.Resize(size))
			want := make([]byte, size)
			copy(want, "old")
			p := noise(3, 4096)
			var err error
			stored := int64(4096)
			for ; err == nil && stored < size; stored += 4096 {
				if err = store(m, stored, p); err == nil {
					copy(want[stored:], p)
				}
			}
			if !errors.Is(err, syscall.EDQUOT) {
				t.Fatalf("after %d bytes: %v", stored, err)
			}
			got := make([]byte, stored-4096) // the page that failed may hold some of it
			_, err = m.ReadAt(got, 0)
			must(t, err)
			wantBytes(t, "what was stored", got, want[:stored-4096])
			run(t, "qgroup", "limit", "none", join(dir, "sub"))
			must(t, store(m, stored, p))
			_, err = m.WriteAt(make([]byte, 4096), stored-4096)
			must(t, err)
			copy(want[stored:], p)
			must(t, m.Commit())
			wantFile(t, name, want)
			must(t, m.Close())
		})
	}
}
