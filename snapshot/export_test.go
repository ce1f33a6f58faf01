//go:build linux

package snapshot

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// calls lists the calls of the kernel, by the name a test knows them by, each with a function
// that puts before it another that may fail it.
var calls = []struct {
	name string
	wrap wrapper
}{
	{"fideduperange", wrap4r(&sys.SysDedupeRange)},
	{"fiemap", wrap3r(&sys.SysExtents)},
	{"funlock", wrap1(&sys.SysFunlock)},
	{"reopen writable", wrap1r(&sys.SysReopenWritable)},
	{"faccessat2", wrap3(&sys.SysCanWrite)},
	{"copy_file_range", func(before func() error) {
		real := sys.SysCopyFileRange
		sys.SysCopyFileRange = func(dst int, dstOff int64, src int, srcOff int64, n int) (int, error) {
			if err := before(); err != nil {
				return 0, err
			}
			return real(dst, dstOff, src, srcOff, n)
		}
	}},
	{"statx append", wrap1r(&sys.SysAppendOnly)},
	{"create excl", wrap3r(&sys.SysCreateExcl)},
	{"fchmod", wrap2(&sys.SysFchmod)},
	{"fchown", wrap3(&sys.SysFchown)},
	{"readlink", wrap1r(&sys.SysFdPath)},
	{"fgetxattr", wrap2r(&sys.SysFgetxattr)},
	{"ficlone", wrap2(&sys.SysFiclone)},
	{"flistxattr", wrap1r(&sys.SysFlistxattr)},
	{"flock", wrap1(&sys.SysTryFlock)},
	{"fremovexattr", wrap2(&sys.SysFremovexattr)},
	{"fsetxattr", wrap3(&sys.SysFsetxattr)},
	{"fstat", wrap1r(&sys.SysFstat)},
	{"fstat sync", wrap1r(&sys.SysFstatSync)},
	{"fsync", wrap1(&sys.SysFsync)},
	{"fstatfs", wrap1r(&sys.SysFsType)},
	{"getlease", wrap1r(&sys.SysGetLease)},
	{"memfd", wrap1r(&sys.SysMemfd)},
	{"openread", wrap2r(&sys.SysOpenRead)},
	{"openreadwrite", wrap2r(&sys.SysOpenReadWrite)},
	{"capget", wrap1r(&sys.SysCapable)},
	{"noatime", wrap1(&sys.SysSetNoAtime)},
	{"seal", wrap1(&sys.SysSeal)},
	{"setlease", wrap2(&sys.SysSetLease)},
	{"ftruncate", wrap2(&sys.SysFtruncate)},
	{"linkat", wrap3(&sys.SysLinkat)},
	{"mincore", wrap2(&sys.SysMincore)},
	{"mmap", wrap3r(&sys.SysMmap)},
	{"mprotect", wrap3(&sys.SysMprotect)},
	{"mremap", wrap3r(&sys.SysMremapDontunmap)},
	{"munmap", wrap1(&sys.SysMunmap)},
	{"getflags", wrap1r(&sys.SysNocow)},
	{"opendir", wrap2r(&sys.SysOpenDir)},
	{"openpath", wrap2r(&sys.SysOpenPath)},
	{"openpath follow", wrap2r(&sys.SysOpenPathFollow)},
	{"poison", wrap1(&sys.SysPoison)},
	{"populate", wrap2(&sys.SysPopulate)},
	{"pread", wrap3r(&sys.SysPread)},
	{"punchhole", wrap3(&sys.SysPunchHole)},
	{"pwrite", wrap3r(&sys.SysPwrite)},
	{"readable", wrap1r(&sys.SysReadable)},
	{"readlinkat", wrap1r(&sys.SysReadlinkat)},
	{"renameat", wrap3(&sys.SysRenameat)},
	{"renameat2", wrap3(&sys.SysRenameNoReplace)},
	{"reopen", wrap1r(&sys.SysReopen)},
	{"reopendir", wrap1r(&sys.SysReopenDir)},
	{"seekdata", wrap2r(&sys.SysSeekData)},
	{"seekhole", wrap2r(&sys.SysSeekHole)},
	{"setflags", wrap2(&sys.SysSetNocow)},
	{"tmpfile", wrap2r(&sys.SysTmpfile)},
	{"tmpfile excl", wrap2r(&sys.SysTmpfileExcl)},
	{"unlinkat", wrap2(&sys.SysUnlinkat)},
	{"writeback", wrap1(&sys.SysWritebackAndWait)},
	{"writebackerr", wrap1(&sys.SysWritebackError)},
}

type wrapper = func(before func() error)

func wrap1[A any](f *func(A) error) wrapper {
	return func(before func() error) {
		real := *f
		*f = func(a A) error {
			if err := before(); err != nil {
				return err
			}
			return real(a)
		}
	}
}

func wrap2[A, B any](f *func(A, B) error) wrapper {
	return func(before func() error) {
		real := *f
		*f = func(a A, b B) error {
			if err := before(); err != nil {
				return err
			}
			return real(a, b)
		}
	}
}

func wrap3[A, B, C any](f *func(A, B, C) error) wrapper {
	return func(before func() error) {
		real := *f
		*f = func(a A, b B, c C) error {
			if err := before(); err != nil {
				return err
			}
			return real(a, b, c)
		}
	}
}

func wrap1r[A, R any](f *func(A) (R, error)) wrapper {
	return func(before func() error) {
		real := *f
		*f = func(a A) (r R, err error) {
			if err := before(); err != nil {
				return failed(r), err
			}
			return real(a)
		}
	}
}

func wrap2r[A, B, R any](f *func(A, B) (R, error)) wrapper {
	return func(before func() error) {
		real := *f
		*f = func(a A, b B) (r R, err error) {
			if err := before(); err != nil {
				return failed(r), err
			}
			return real(a, b)
		}
	}
}

func wrap3r[A, B, C, R any](f *func(A, B, C) (R, error)) wrapper {
	return func(before func() error) {
		real := *f
		*f = func(a A, b B, c C) (r R, err error) {
			if err := before(); err != nil {
				return failed(r), err
			}
			return real(a, b, c)
		}
	}
}

func wrap4r[A, B, C, D, R any](f *func(A, B, C, D) (R, error)) wrapper {
	return func(before func() error) {
		real := *f
		*f = func(a A, b B, c C, d D) (r R, err error) {
			if err := before(); err != nil {
				return failed(r), err
			}
			return real(a, b, c, d)
		}
	}
}

// failed is what a call returns beside an error: -1 where a descriptor or a count is expected.
func failed[R any](r R) R {
	if p, ok := any(&r).(*int); ok {
		*p = -1
	}
	return r
}

// hook is called ahead of every call of the kernel, with its name; an error it returns is the
// call's. It stands between for good, because cleanups and the sweeper call the kernel on
// goroutines of their own, at any time; their calls it does not get.
var hook atomic.Pointer[func(call string) error]

// noTmpfile makes O_TMPFILE unknown where it would make a file that can get a name.
var noTmpfile atomic.Bool

func init() {
	for _, c := range calls {
		c.wrap(func() error {
			if c.name == "tmpfile" && noTmpfile.Load() {
				return syscall.EOPNOTSUPP
			}
			if before := hook.Load(); before != nil && !inBackground(c.name) {
				return (*before)(c.name)
			}
			return nil
		})
	}
}

// inBackground reports whether a call is made by a cleanup or by the sweeper.
func inBackground(call string) bool {
	if call != "munmap" && call != "poison" && call != "mincore" {
		return false
	}
	var stack [32]uintptr
	frames := runtime.CallersFrames(stack[:runtime.Callers(1, stack[:])])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, ".abandoned") || strings.HasSuffix(f.Function, "(*sweeper).add.func1") {
			return true
		}
		if !more {
			return false
		}
	}
}

// Intercept has before called, with its name, ahead of every call of the kernel; an error it
// returns is the call's. It lasts until the test ends or undo is called.
func Intercept(tb testing.TB, before func(call string) error) (undo func()) {
	old := hook.Swap(&before)
	undo = sync.OnceFunc(func() { hook.Store(old) })
	tb.Cleanup(undo)
	return undo
}

// NoTmpfile lets directories know no O_TMPFILE until undo is called; TempDir still does.
func NoTmpfile() (undo func()) {
	noTmpfile.Store(true)
	return func() { noTmpfile.Store(false) }
}

// NoPauses has attempts follow each other at once, as nobody else is to act meanwhile, until the
// test ends.
func NoPauses(tb testing.TB) {
	real := retry.After
	retry.After = func(time.Duration) <-chan time.Time { return real(0) }
	tb.Cleanup(func() { retry.After = real })
}

// NextChunk returns how much a copy copies at once after a chunk of that size that took so long.
func NextChunk(size int64, took time.Duration) int64 {
	c := privatefile.Copier{Chunk: size}
	c.Adapt(took)
	return c.Chunk
}

// SkipFsync makes fsync of files, or of directories, do nothing and report success, to see what
// becomes of a promise without it; with that of files, the writeback of the private file too.
// It lasts until the test ends.
func SkipFsync(tb testing.TB, files, dirs bool) {
	real, undo := sys.SysFsync, func() {}
	if files {
		undo = IgnoreWriteback(tb)
	}
	sys.SysFsync = func(fd int) error {
		if st, err := sys.SysFstat(fd); err == nil && (files && st.Mode.IsRegular() || dirs && st.Mode.IsDir()) {
			return nil
		}
		return real(fd)
	}
	tb.Cleanup(func() {
		sys.SysFsync = real
		undo()
	})
}

// IgnoreWriteback keeps the writeback of private files from being started and waited for, and
// its errors from being seen, until the test ends or undo is called.
func IgnoreWriteback(tb testing.TB) (undo func()) {
	start, result := sys.SysWritebackAndWait, sys.SysWritebackError
	sys.SysWritebackAndWait, sys.SysWritebackError = func(int) error { return nil }, func(int) error { return nil }
	undo = sync.OnceFunc(func() { sys.SysWritebackAndWait, sys.SysWritebackError = start, result })
	tb.Cleanup(undo)
	return undo
}

// CountCalls counts the calls of the kernel from now on.
func CountCalls(tb testing.TB) (calls func(name string) int) {
	var mu sync.Mutex
	counts := map[string]int{}
	Intercept(tb, func(call string) error {
		mu.Lock()
		defer mu.Unlock()
		counts[call]++
		return nil
	})
	return func(name string) int {
		mu.Lock()
		defer mu.Unlock()
		return counts[name]
	}
}
