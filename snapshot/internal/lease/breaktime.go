package lease

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

const (
	// maxBreakTime is the largest fs.lease-break-time, in seconds, of which a lease is worth its
	// name. The kernel computes lease_break_time * HZ as an int (fs/locks.c, __break_lease): more
	// than 2^31/HZ can overflow to a time that is over at once, and HZ is at most 1000.
	maxBreakTime = 2_000_000

	// defaultBreakTime is what fs.lease-break-time is if nobody sets it, in seconds.
	defaultBreakTime = 45

	// maxDataAtDefault is how many bytes of data a file may have at defaultBreakTime: a disk of
	// 100 MB/s copies them in that time.
	maxDataAtDefault = 4 << 30
)

// A breakTime is fs.lease-break-time as it was read last.
type breakTime struct {
	maxData atomic.Int64           // the limit of data; 0 if leases prove nothing
	file    atomic.Pointer[string] // for tests: where the value stands
}

// read returns the value, in seconds.
func (b *breakTime) read() (int64, error) {
	name := "/proc/sys/fs/lease-break-time"
	if file := b.file.Load(); file != nil {
		name = *file
	}
	value, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(value)), 10, 64)
}

// refresh reads the value anew, and reports whether leases prove something.
func (b *breakTime) refresh() bool {
	limit := int64(0)
	if seconds, err := b.read(); err == nil && seconds <= maxBreakTime {
		if seconds <= 0 || seconds > defaultBreakTime { // 0: the kernel waits for ever
			seconds = defaultBreakTime
		}
		limit = int64(maxDataAtDefault) * seconds / defaultBreakTime
	}
	b.maxData.Store(limit)
	return limit > 0
}

// isSound reports whether leases prove something.
func (b *breakTime) isSound() bool { return b.maxData.Load() > 0 }
