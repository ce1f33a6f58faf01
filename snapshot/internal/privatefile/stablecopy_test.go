package privatefile

import (
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// How long the times of a file can stand still follows from the filesystem: not at all with fine
// times, a tick of the kernel's coarse clock otherwise, and two seconds where times are whole
// seconds.
func TestGranularity(t *testing.T) {
	fine, whole := time.Unix(5, 7), time.Unix(5, 0)
	for _, c := range []struct {
		mtime, ctime time.Time
		fine         bool
		want         time.Duration
	}{
		{fine, fine, true, 0},
		{whole, fine, true, 0},
		{fine, whole, true, 0},
		{fine, fine, false, 12 * time.Millisecond},
		{whole, fine, false, 12 * time.Millisecond},
		{whole, whole, true, 2 * time.Second},
		{whole, whole, false, 2 * time.Second},
	} {
		st := syscalls.Stat{Mtime: c.mtime, Ctime: c.ctime}
		if got := granularity(st, c.fine); got != c.want {
			t.Errorf("mtime %v, ctime %v, fine %v: %v, want %v", c.mtime, c.ctime, c.fine, got, c.want)
		}
	}
}
