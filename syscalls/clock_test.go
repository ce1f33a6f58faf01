package syscalls_test

import (
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// If one of the times has a fraction of a second, the filesystem stores fractions.
//
//promise:adapters.FS times are trusted after 50 ms, or two seconds where they are whole seconds
//promise:syscalls.Stat.Granularity times of whole seconds stand still for up to two seconds
func TestGranularity(t *testing.T) {
	whole, fine := time.Unix(1000, 0), time.Unix(1000, 1)
	for _, test := range []struct {
		mtime, ctime time.Time
		want         time.Duration
	}{
		{whole, whole, 2 * time.Second},
		{whole, fine, syscalls.ClockTick}, // a program set the mtime
		{fine, whole, syscalls.ClockTick},
		{fine, fine, syscalls.ClockTick},
	} {
		st := syscalls.Stat{Mtime: test.mtime, Ctime: test.ctime}
		if got := st.Granularity(); got != test.want {
			t.Errorf("mtime %v, ctime %v: %v", test.mtime, test.ctime, got)
		}
	}
	if syscalls.ClockTick <= 10*time.Millisecond {
		t.Errorf("%v is not longer than a tick with CONFIG_HZ=100", syscalls.ClockTick)
	}
}
