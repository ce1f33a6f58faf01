package syscalls

import "time"

const (
	// ClockTick is longer than the kernel's coarse clock normally stands still: a tick takes at
	// most 10 ms (CONFIG_HZ=100). Filesystems take the times of files from that clock.
	ClockTick = 12 * time.Millisecond

	// coarseTimes is the granularity of filesystems that do not store fractions of a second: two
	// seconds on FAT, one on ext4 with inodes of 128 bytes and on ext2 and ext3.
	coarseTimes = 2 * time.Second
)

// Granularity returns for how long the times of a file can stand still while the file changes:
// [ClockTick], or two seconds if both times are whole seconds, which suggests that the filesystem
// stores no others. Programs can set the mtime alone to a whole second.
//
// Since Linux 6.13 a change of a file gets a new time even within a tick, if a process looked at
// the times since the change before (multigrain timestamps, kernel document
// filesystems/multigrain-ts). Of the filesystems only XFS, btrfs, ext4 and tmpfs do this, and
// Granularity does not know which filesystem the file is on.
func (st Stat) Granularity() time.Duration {
	if st.Mtime.Nanosecond() == 0 && st.Ctime.Nanosecond() == 0 {
		return coarseTimes
	}
	return ClockTick
}

// CoarseNow returns the time of the clock that the kernel takes the times of files from:
// clock_gettime(2), CLOCK_REALTIME_COARSE. A change of a file of a local filesystem after CoarseNow
// gives the file this time or a later one, cut to what the filesystem can store.
//
// [time.Now] promises no such thing, because the coarse clock is behind: by up to two ticks, as the
// kernel advances it by whole ticks and keeps the rest (timekeeping_advance in
// kernel/time/timekeeping.c), and by five more if a hypervisor stops the processor that advances
// it (MAX_STALLED_JIFFIES in kernel/time/tick-sched.c).
func CoarseNow() (time.Time, error) {
	var now time.Time
	err := do("clock_gettime", func() (err error) {
		now, err = coarseNow()
		return err
	})
	return now, err
}
