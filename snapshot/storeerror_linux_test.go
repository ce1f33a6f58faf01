package snapshot_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// To look for the reason of a store that failed takes no blocks of a disk that is nearly full.
func TestStoreErrorTakesNoBlocks(t *testing.T) {
	onSmallDisks(t, func(t *testing.T, dir string) {
		write(t, join(dir, "f"), noise(1, 1<<20))
		write(t, join(dir, "small"), noise(2, 5*4096))
		m := openMut(t, join(dir, "f"))
		r := snapshot.Region(m)
		fill(t, join(dir, "filler"))
		must(t, os.Remove(join(dir, "small")))
		blocks := func() int64 {
			var st syscall.Stat_t
			must(t, syscall.Fsync(r.FD()))
			must(t, syscall.Fstat(r.FD(), &st))
			return st.Blocks
		}
		before := blocks()
		if err := r.StoreError(0); !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EFAULT) {
			t.Error(err)
		}
		if after := blocks(); after != before {
			t.Errorf("%d blocks, %d before", after, before)
		}
		must(t, m.Close())
	})
}
