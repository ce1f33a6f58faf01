package mapped

import (
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A mapping is memory mapped to a private file. ReadAt uses it without a lock or reference count.
// The addresses are therefore unmapped only when the mapping becomes unreachable; every access must
// be followed by runtime.KeepAlive.
type mapping struct {
	*addresses
}

// addresses are the range that a mapping takes. They are counted: the region holds one reference
// and every running View another. The last one out revokes them: from then on every access faults,
// and no other file can be mapped there until they are given back.
type addresses struct {
	mem      []byte // the whole range; constant
	refs     atomic.Int32
	revoked  atomic.Bool // inaccessible
	released atomic.Bool // and no longer mapped to the file
	viewed   atomic.Bool // View handed slices of it to code that may have kept them
	escaped  atomic.Bool // Bytes did, to code that may keep them
}

// newMapping takes over mem.
func newMapping(mem []byte) *mapping {
	m := &mapping{&addresses{mem: mem}}
	m.refs.Store(1)
	runtime.AddCleanup(m, (*addresses).finalize, m.addresses)
	return m
}

// acquire adds a reference, unless the last one is gone.
func (a *addresses) acquire() bool {
	for {
		n := a.refs.Load()
		if n == 0 {
			return false
		}
		if a.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release gives a reference back. It is a method of the mapping, which it keeps reachable: else
// finalize could run beside revoke, and revoke would make addresses inaccessible that are another's
// by then.
func (m *mapping) release() {
	if m.refs.Add(-1) == 0 {
		m.revoke()
		space.closed()
	}
	runtime.KeepAlive(m)
}

// revoke makes the memory inaccessible and reports whether it is. The file is released by that,
// unless there are no mappings left: then the kernel refuses to replace one, too, but not to
// protect it. If both fail, that is tried again when the mapping is unreachable.
func (a *addresses) revoke() bool {
	if a.released.Load() {
		return true
	}
	err := sys.MapNone(a.mem)
	if err != nil {
		_ = sys.Munlock(a.mem) // under mlockall, the kernel counts it twice for a moment
		err = sys.MapNone(a.mem)
	}
	if err == nil {
		a.released.Store(true)
		a.revoked.Store(true)
	} else if !a.revoked.Load() && sys.Mprotect(a.mem, false, false) == nil {
		a.revoked.Store(true)
	}
	_ = sys.Munlock(a.mem) // under mlockall, memory is locked even if it is inaccessible
	return a.revoked.Load()
}

// finalize runs when the mapping is unreachable, and gives the addresses back: at once or, if code
// may have kept a slice, after a time in quarantine. Memory that such code could still access is
// not given back, because it would show whatever is mapped there next.
func (a *addresses) finalize() {
	neverClosed := a.refs.Load() > 0
	if neverClosed && a.escaped.Load() {
		return // slices may be in use, which the garbage collector cannot see
	}
	switch {
	case !a.viewed.Load() && !a.escaped.Load():
		space.giveBack(a.mem, a.released.Load())
	case a.revoke():
		quarantined.add(a.mem)
	}
}

// keepAlive keeps the addresses of m, which may be nil, from being given back until now.
func keepAlive(m *mapping) { runtime.KeepAlive(m) }

// tryCopy is the built-in copy, where dst or src lies in the mapping. It reports false if a page
// could not be had: then an unknown part was copied, because memmove does not go from front to
// back. If the page is memory of the caller, the system call that the caller of tryCopy then makes
// is EFAULT.
func (m *mapping) tryCopy(dst, src []byte) (done bool) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if !done { // recover takes longer than all the rest
			_ = recover()
		}
	}()
	copy(dst, src)
	runtime.KeepAlive(m)
	return true
}

// call calls f and returns its error, and where in the mapping it faulted, or -1. A fault of a
// function that f deferred, while f panics, goes on as a panic: to recover from it would lose the
// other one.
func (m *mapping) call(f func(b []byte) error, b []byte) (at int, err error) {
	at = -1
	old := debug.SetPanicOnFault(true)
	done := false
	defer func() {
		debug.SetPanicOnFault(old)
		if !done && !panickedBefore() {
			if off, ok := m.fault(recover()); ok {
				at = off
			}
		}
	}()
	err = f(b)
	done = true
	return at, err
}

// panickedBefore reports whether f, in call, was panicking when the latest panic began, faults left
// out. It is called by the deferred function of call. A panic that f has recovered from is one
// until the deferred function of f that did so returns: nothing tells.
func panickedBefore() bool {
	const call, again = ".(*mapping).call", ".(*mapping).fault" // again: it repeats a panic
	for size := 64; ; size *= 4 {
		pcs := make([]uintptr, size)
		pcs = pcs[:runtime.Callers(1, pcs)]
		frames := runtime.CallersFrames(pcs)
		panics, calls, last := 0, 0, ""
		for more := true; more; {
			var f runtime.Frame
			f, more = frames.Next()
			leftOut := f.Function == "runtime.panicmemAddr" || strings.HasSuffix(f.Function, again)
			if last == "runtime.gopanic" && (panics == 0 || !leftOut) {
				if panics++; panics == 2 {
					return true
				}
			}
			switch { // other Views that f has called may be panicking, too
			case strings.Contains(f.Function, call+".func"):
				calls++
			case strings.HasSuffix(f.Function, call):
				if calls--; calls <= 0 {
					return false
				}
			}
			last = f.Function
		}
		if len(pcs) < size {
			return false
		}
	}
}

// fault returns where in the mapping a recovered panic faulted. It panics again if the panic is
// another, and reports false if there is none, as after runtime.Goexit.
func (m *mapping) fault(r any) (off int, ok bool) {
	if r == nil {
		return 0, false
	}
	if e, ok := r.(interface {
		runtime.Error
		Addr() uintptr
	}); ok {
		if off, ok := syscalls.AddrOffset(m.mem, e.Addr()); ok {
			return off, true
		}
	}
	panic(r)
}
