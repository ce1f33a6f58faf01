package systest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// SkipFsync makes fsync of files, or of directories, do nothing and report success, to see what
// becomes of a promise without it; with that of files, the writeback of the private file too.
// It lasts until the test ends.
func SkipFsync(tb testing.TB, files, dirs bool) {
	real, undo := sys.Fsync, func() {}
	if files {
		undo = IgnoreWriteback(tb)
	}
	sys.Fsync = func(fd int) error {
		if st, err := sys.Fstat(fd); err == nil && (files && st.Mode.IsRegular() || dirs && st.Mode.IsDir()) {
			return nil
		}
		return real(fd)
	}
	tb.Cleanup(func() {
		sys.Fsync = real
		undo()
	})
}

// IgnoreWriteback keeps the writeback of private files from being started and waited for, and
// its errors from being seen, until the test ends or undo is called.
func IgnoreWriteback(tb testing.TB) (undo func()) {
	start, result, past := sys.WritebackAndWait, sys.WritebackError, sys.WritebackFailed
	well := func(int) error { return nil }
	sys.WritebackAndWait, sys.WritebackError, sys.WritebackFailed = well, well, well
	undo = sync.OnceFunc(func() {
		sys.WritebackAndWait, sys.WritebackError, sys.WritebackFailed = start, result, past
	})
	tb.Cleanup(undo)
	return undo
}

// CopyByHand lets the kernel know neither reflinks nor copy_file_range until the test ends, so that
// data are copied by reading and writing.
func CopyByHand(tb testing.TB) {
	clone, copyRange := sys.Ficlone, sys.CopyFileRange
	sys.Ficlone = func(int, int) error { return errors.ErrUnsupported }
	sys.CopyFileRange = func(int, int64, int, int64, int) (int, error) { return 0, errors.ErrUnsupported }
	tb.Cleanup(func() { sys.Ficlone, sys.CopyFileRange = clone, copyRange })
}

// IgnoreTimes makes all files look as if nobody ever wrote to them, until the test ends.
func IgnoreTimes(tb testing.TB) {
	changeTimes(tb, func(time.Time) time.Time { return time.Time{} })
}

// ShiftTimes makes all files look as if they had been changed by d later, until the test ends.
func ShiftTimes(tb testing.TB, d time.Duration) {
	changeTimes(tb, func(t time.Time) time.Time { return t.Add(d) })
}

func changeTimes(tb testing.TB, change func(time.Time) time.Time) {
	for _, call := range []*func(int) (syscalls.Stat, error){&sys.Fstat, &sys.FstatSync} {
		real := *call
		*call = func(fd int) (syscalls.Stat, error) {
			st, err := real(fd)
			st.Mtime, st.Ctime = change(st.Mtime), change(st.Ctime)
			return st, err
		}
		tb.Cleanup(func() { *call = real })
	}
}

// IgnoreLeases makes the kernel seem to grant every lease, without any, until the test ends.
func IgnoreLeases(tb testing.TB) {
	set, get := sys.SetLease, sys.GetLease
	sys.SetLease = func(int, int) error { return nil }
	sys.GetLease = func(int) (int, error) { return syscalls.ReadLease, nil }
	tb.Cleanup(func() { sys.SetLease, sys.GetLease = set, get })
}

// CacheAttributes lets files look as they did when they were first looked at, until they are
// looked at anew with what asks the server, as the client of a network filesystem does. It lasts
// until the test ends.
func CacheAttributes(tb testing.TB) {
	type key struct{ dev, ino uint64 }
	var cache sync.Map // key to syscalls.Stat
	fstat, ask := sys.Fstat, sys.FstatSync
	sys.Fstat = func(fd int) (syscalls.Stat, error) {
		st, err := fstat(fd)
		if err != nil || st.Nlink == 0 { // a private file, which nobody else knows
			return st, err
		}
		old, _ := cache.LoadOrStore(key{st.Dev, st.Ino}, st)
		return old.(syscalls.Stat), nil
	}
	sys.FstatSync = func(fd int) (syscalls.Stat, error) {
		st, err := ask(fd)
		if err == nil {
			cache.Store(key{st.Dev, st.Ino}, st)
		}
		return st, err
	}
	tb.Cleanup(func() { sys.Fstat, sys.FstatSync = fstat, ask })
}

// ChangeStats has change alter what fstat says of files without a name, until undo is called.
func ChangeStats(change func(st *syscalls.Stat)) (undo func()) {
	real := sys.Fstat
	sys.Fstat = func(fd int) (syscalls.Stat, error) {
		st, err := real(fd)
		if err == nil && st.Nlink == 0 {
			change(&st)
		}
		return st, err
	}
	return func() { sys.Fstat = real }
}
