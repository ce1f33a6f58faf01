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
)

// calls lists the calls of the kernel, by the name a test knows them by, each with a function
// that puts before it another that may fail it.
var calls = []struct {
	name string
	wrap wrapper
}{
	{"fideduperange", wrap4r(&sysDedupeRange)},
	{"fiemap", wrap3r(&sysExtents)},
	{"funlock", wrap1(&sysFunlock)},
	{"reopen writable", wrap1r(&sysReopenWritable)},
	{"faccessat2", wrap3(&sysCanWrite)},
	{"copy_file_range", func(before func() error) {
		real := sysCopyFileRange
		sysCopyFileRange = func(dst int, dstOff int64, src int, srcOff int64, n int) (int, error) {
			if err := before(); err != nil {
				return 0, err
			}
			return real(dst, dstOff, src, srcOff, n)
		}
	}},
	{"statx append", wrap1r(&sysAppendOnly)},
	{"create excl", wrap3r(&sysCreateExcl)},
	{"fchmod", wrap2(&sysFchmod)},
	{"fchown", wrap3(&sysFchown)},
	{"readlink", wrap1r(&sysFdPath)},
	{"fgetxattr", wrap2r(&sysFgetxattr)},
	{"ficlone", wrap2(&sysFiclone)},
	{"flistxattr", wrap1r(&sysFlistxattr)},
	{"flock", wrap1(&sysTryFlock)},
	{"fremovexattr", wrap2(&sysFremovexattr)},
	{"fsetxattr", wrap3(&sysFsetxattr)},
	{"fstat", wrap1r(&sysFstat)},
	{"fstat sync", wrap1r(&sysFstatSync)},
	{"fsync", wrap1(&sysFsync)},
	{"fstatfs", wrap1r(&sysFsType)},
	{"getlease", wrap1r(&sysGetLease)},
	{"memfd", wrap1r(&sysMemfd)},
	{"openread", wrap2r(&sysOpenRead)},
	{"openreadwrite", wrap2r(&sysOpenReadWrite)},
	{"capget", wrap1r(&sysCapable)},
	{"noatime", wrap1(&sysSetNoAtime)},
	{"seal", wrap1(&sysSeal)},
	{"setlease", wrap2(&sysSetLease)},
	{"ftruncate", wrap2(&sysFtruncate)},
	{"linkat", wrap3(&sysLinkat)},
	{"mincore", wrap2(&sysMincore)},
	{"mmap", wrap3r(&sysMmap)},
	{"mprotect", wrap3(&sysMprotect)},
	{"mremap", wrap3r(&sysMremapDontunmap)},
	{"munmap", wrap1(&sysMunmap)},
	{"getflags", wrap1r(&sysNocow)},
	{"opendir", wrap2r(&sysOpenDir)},
	{"openpath", wrap2r(&sysOpenPath)},
	{"openpath follow", wrap2r(&sysOpenPathFollow)},
	{"poison", wrap1(&sysPoison)},
	{"populate", wrap2(&sysPopulate)},
	{"pread", wrap3r(&sysPread)},
	{"punchhole", wrap3(&sysPunchHole)},
	{"pwrite", wrap3r(&sysPwrite)},
	{"readable", wrap1r(&sysReadable)},
	{"readlinkat", wrap1r(&sysReadlinkat)},
	{"renameat", wrap3(&sysRenameat)},
	{"renameat2", wrap3(&sysRenameNoReplace)},
	{"reopen", wrap1r(&sysReopen)},
	{"reopendir", wrap1r(&sysReopenDir)},
	{"seekdata", wrap2r(&sysSeekData)},
	{"seekhole", wrap2r(&sysSeekHole)},
	{"setflags", wrap2(&sysSetNocow)},
	{"tmpfile", wrap2r(&sysTmpfile)},
	{"tmpfile excl", wrap2r(&sysTmpfileExcl)},
	{"unlinkat", wrap2(&sysUnlinkat)},
	{"writeback", wrap1(&sysWritebackAndWait)},
	{"writebackerr", wrap1(&sysWritebackError)},
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
	real := after
	after = func(time.Duration) <-chan time.Time { return real(0) }
	tb.Cleanup(func() { after = real })
}

// NextChunk returns how much a copy copies at once after a chunk of that size that took so long.
func NextChunk(size int64, took time.Duration) int64 {
	c := copier{chunk: size}
	c.adapt(took)
	return c.chunk
}

// SkipFsync makes fsync of files, or of directories, do nothing and report success, to see what
// becomes of a promise without it; with that of files, the writeback of the private file too.
// It lasts until the test ends.
func SkipFsync(tb testing.TB, files, dirs bool) {
	real, undo := sysFsync, func() {}
	if files {
		undo = IgnoreWriteback(tb)
	}
	sysFsync = func(fd int) error {
		if st, err := sysFstat(fd); err == nil && (files && st.Mode.IsRegular() || dirs && st.Mode.IsDir()) {
			return nil
		}
		return real(fd)
	}
	tb.Cleanup(func() {
		sysFsync = real
		undo()
	})
}

// IgnoreWriteback keeps the writeback of private files from being started and waited for, and
// its errors from being seen, until the test ends or undo is called.
func IgnoreWriteback(tb testing.TB) (undo func()) {
	start, result := sysWritebackAndWait, sysWritebackError
	sysWritebackAndWait, sysWritebackError = func(int) error { return nil }, func(int) error { return nil }
	undo = sync.OnceFunc(func() { sysWritebackAndWait, sysWritebackError = start, result })
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
