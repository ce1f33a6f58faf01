//go:build linux

package snapshot

import (
	"sync"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// IgnoreTimes makes all files look as if nobody ever wrote to them, until the test ends.
func IgnoreTimes(tb testing.TB) {
	for _, call := range []*func(int) (syscalls.Stat, error){&sys.SysFstat, &sys.SysFstatSync} {
		real := *call
		*call = func(fd int) (syscalls.Stat, error) {
			st, err := real(fd)
			st.Mtime, st.Ctime = time.Time{}, time.Time{}
			return st, err
		}
		tb.Cleanup(func() { *call = real })
	}
}

// IgnoreLeases makes the kernel seem to grant every lease, without any, until the test ends.
func IgnoreLeases(tb testing.TB) {
	set, get := sys.SysSetLease, sys.SysGetLease
	sys.SysSetLease = func(int, int) error { return nil }
	sys.SysGetLease = func(int) (int, error) { return syscalls.ReadLease, nil }
	tb.Cleanup(func() { sys.SysSetLease, sys.SysGetLease = set, get })
}

// CacheAttributes lets files look as they did when they were first looked at, until they are
// looked at anew with what asks the server, as the client of a network filesystem does. It lasts
// until the test ends.
func CacheAttributes(tb testing.TB) {
	type key struct{ dev, ino uint64 }
	var cache sync.Map // key to syscalls.Stat
	fstat, ask := sys.SysFstat, sys.SysFstatSync
	sys.SysFstat = func(fd int) (syscalls.Stat, error) {
		st, err := fstat(fd)
		if err != nil || st.Nlink == 0 { // a private file, which nobody else knows
			return st, err
		}
		old, _ := cache.LoadOrStore(key{st.Dev, st.Ino}, st)
		return old.(syscalls.Stat), nil
	}
	sys.SysFstatSync = func(fd int) (syscalls.Stat, error) {
		st, err := ask(fd)
		if err == nil {
			cache.Store(key{st.Dev, st.Ino}, st)
		}
		return st, err
	}
	tb.Cleanup(func() { sys.SysFstat, sys.SysFstatSync = fstat, ask })
}

// ChangeStats has change alter what fstat says of files without a name, until undo is called.
func ChangeStats(change func(st *syscalls.Stat)) (undo func()) {
	real := sys.SysFstat
	sys.SysFstat = func(fd int) (syscalls.Stat, error) {
		st, err := real(fd)
		if err == nil && st.Nlink == 0 {
			change(&st)
		}
		return st, err
	}
	return func() { sys.SysFstat = real }
}
