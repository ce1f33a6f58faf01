package snapshot_test

import (
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// FromFile of a descriptor that is open for reading, everything that the snapshot can do, and its
// Close keep the locks that this process has on the file. Another open file description looks for
// the locks, because a process does not see its own. It stays open until the end: its Close would
// end the locks. The calls that open the file do end them.
//
//promise:snapshot.Config.FromFile POSIX locks of this process stay if f is open for reading
//promise:snapshot.Config.Open opening a file by its name ends the POSIX locks of this process on it
func TestPOSIXLocks(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 300000)
		write(t, name, data)
		readOnly, other := openFile(t, name, os.O_RDONLY), openFile(t, name, os.O_RDWR)
		readWrite, path := openFile(t, name, os.O_RDWR), openPathFile(t, name)
		for _, call := range []struct {
			name string
			do   func(t *testing.T)
			ends bool
		}{
			{"FromFile, read-only", func(t *testing.T) { useSnapshot(t, readOnly, data) }, false},
			{"FromFile, read-write", func(t *testing.T) { useSnapshot(t, readWrite, data) }, false},
			{"FromFile, O_PATH", func(t *testing.T) { useSnapshot(t, path, data) }, true},
			{"Open", func(t *testing.T) { must(t, open(t, name).Close()) }, true},
			{"OpenMut", func(t *testing.T) { must(t, openMut(t, name).Close()) }, true},
		} {
			lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: 1 << 30, Len: 10}
			must(t, unix.FcntlFlock(readWrite.Fd(), unix.F_SETLK, &lock))
			call.do(t)
			lock = unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
			must(t, unix.FcntlFlock(other.Fd(), unix.F_OFD_GETLK, &lock))
			if ended := lock.Type == unix.F_UNLCK; ended != call.ends {
				t.Errorf("%s: the lock ended: %v, want %v", call.name, ended, call.ends)
			} else if !ended && int(lock.Pid) != os.Getpid() {
				t.Errorf("%s: the lock is of process %d", call.name, lock.Pid)
			}
		}
	})
}

// useSnapshot makes a snapshot of f, beside it or else in memory, reads it in all ways, and closes it.
func useSnapshot(t *testing.T, f *os.File, data []byte) {
	t.Helper()
	for _, noDirectory := range []int{0, 2} {
		undo := tmpfiles(t, noDirectory, syscall.EACCES)
		m, err := snapshot.FromFile(f)
		undo()
		must(t, err)
		wantContents(t, m, data)
		must(t, m.Prefetch(0, -1))
		_, err = m.Stat()
		must(t, err)
		must(t, m.Close())
	}
}
