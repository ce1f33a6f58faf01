package syscalls_test

import (
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// No change gives a file a time before the one that CoarseNow returned ahead of the change, and the
// times are as fine as Granularity says.
//
//promise:syscalls.CoarseNow a change after CoarseNow gives a file that time or a later one
func TestTimesOfChanges(t *testing.T) {
	check := func(t *testing.T, dir string, unit, granularity time.Duration) {
		fd := newFile(t, dir, "f", zeros(1))
		write := func() {
			_, err := syscalls.Pwrite(fd, zeros(1), 0)
			must(t, err)
		}
		for range mounttest.Count(100, 1000, 100_000) {
			// The first write after a look at the times gets a time of the fine clock, where the
			// kernel has multigrain timestamps. The second one gets a time of the coarse clock.
			write()
			before, err := syscalls.CoarseNow()
			must(t, err)
			write()
			st, err := syscalls.Fstat(fd)
			must(t, err)
			if before = before.Truncate(unit); st.Ctime.Before(before) || st.Mtime.Before(before) {
				t.Fatalf("ctime %v, mtime %v of a change after %v", st.Ctime, st.Mtime, before)
			}
			// A time can have no fraction by chance.
			got := st.Granularity()
			if got < granularity || got > granularity && st.Ctime.Nanosecond() != 0 {
				t.Fatalf("granularity of ctime %v, mtime %v: %v", st.Ctime, st.Mtime, got)
			}
		}
	}
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		check(t, dir, 1, syscalls.ClockTick)
	})
	t.Run("whole seconds", func(t *testing.T) {
		dir := mounttest.Fresh(t, mounttest.WholeSeconds, 16<<20)
		check(t, dir, time.Second, 2*time.Second)
	})
}
