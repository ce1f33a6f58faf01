package snapshot

import (
	"errors"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"
	"weak"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A mapping is memory mapped to a private file. Readers are inside without a lock or a
// reference, so its addresses are given back only when the mapping is unreachable: whoever
// touches the memory keeps it alive until afterwards.
type mapping struct {
	*addresses

	// Pages that were found in memory, and, where stores are possible, pages that were written
	// to since the kernel may have last written them to the disk, after which the first store
	// to a page waits again: what is in here is touched without a system call. owner owns the
	// private file. Constant but for what is in the sets.
	resident, dirty pages
	owner           uint32
	swept           atomic.Bool // the sweeper knows of it
}

// addresses are the range that a mapping takes. They are counted: the snapshot holds one
// reference and every running View another. The last one out poisons them: from then on every
// access faults, and no other file can be mapped there until they are given back.
type addresses struct {
	mem      []byte // the whole range; constant
	refs     atomic.Int32
	poisoned atomic.Bool
	lent     atomic.Bool // View gave slices of it to others, who may have kept them
	kept     atomic.Bool // Bytes did, and they may keep them
}

// newMapping takes over mem, which is mapped to a file of uid.
func newMapping(mem []byte, write bool, uid uint32) *mapping {
	mp := &mapping{addresses: &addresses{mem: mem}, resident: newPages(len(mem)), owner: uid}
	if write {
		mp.dirty = newPages(len(mem))
	}
	mp.refs.Store(1)
	runtime.AddCleanup(mp, (*addresses).abandoned, mp.addresses)
	return mp
}

// mapPrivate maps length bytes of the private file fd. Memory of snapshots that were closed or
// dropped is given back when the garbage collector finds them unreachable, and it does not know
// how large they are: so it is run when addresses run out, and then what is in quarantine goes,
// too.
func mapPrivate(fd, length int, write bool) ([]byte, error) {
	for i := 0; ; i++ {
		mem, err := sysMmap(fd, length, write)
		if !errors.Is(err, syscall.ENOMEM) || i == 5 {
			return mem, err
		}
		runtime.GC()
		time.Sleep(time.Millisecond << i) // the cleanups run on a goroutine of their own
		if i == 3 {
			stale.empty()
		}
	}
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

// release gives a reference back.
func (a *addresses) release() {
	if a.refs.Add(-1) == 0 {
		a.poison()
	}
}

// poison makes the memory inaccessible. Where that fails, it stays as it is and is not given
// back: that would show a late reader whatever is mapped there next. It is tried again when the
// mapping is unreachable.
func (a *addresses) poison() bool {
	if !a.poisoned.Load() && sysPoison(a.mem) == nil {
		a.poisoned.Store(true)
	}
	return a.poisoned.Load()
}

// abandoned runs when the mapping is unreachable, and gives the addresses back: at once or, if
// somebody may have kept a slice, after a time in quarantine.
func (a *addresses) abandoned() {
	neverClosed := a.refs.Load() > 0
	if neverClosed && a.kept.Load() {
		return // slices may be in use, which the garbage collector cannot see
	}
	switch {
	case !a.poison():
	case a.lent.Load() || a.kept.Load():
		stale.add(a.mem)
	default:
		_ = sysMunmap(a.mem)
	}
}

// readable notes that n bytes from off on are in memory.
func (mp *mapping) readable(off int64, n int) {
	if mp.resident.add(off, n) {
		mp.sweep()
	}
}

// written notes that n bytes from off on are in memory and were written to.
func (mp *mapping) written(off int64, n int) {
	mp.dirty.add(off, n)
	mp.readable(off, n)
}

// inherit takes over what is known of a mapping of the same file. From then on both share it.
func (mp *mapping) inherit(old *mapping) {
	for i := range old.resident {
		mp.resident[i].Store(old.resident[i].Load())
		mp.dirty[i].Store(old.dirty[i].Load())
	}
	mp.sweep()
}

// sweep has the sweeper look after what is known.
func (mp *mapping) sweep() {
	if !mp.swept.Swap(true) {
		swept.add(weak.Make(mp))
	}
}

// age forgets what may no longer be so.
func (mp *mapping) age(vec []byte) {
	mp.dirty.clear()
	mp.resident.age(mp.mem, mp.owner, vec)
}

// copy is the built-in copy, where dst or src lies in the mapping. It reports false if a page
// could not be had: then an unknown part was copied, because memmove does not go from front to
// back.
func (mp *mapping) copy(dst, src []byte) (ok bool) {
	defer mp.catch(nil, debug.SetPanicOnFault(true))
	copy(dst, src)
	runtime.KeepAlive(mp)
	return true
}

// run calls f and returns its error, and where in the mapping it faulted, or -1.
func (mp *mapping) run(f func(b []byte) error, b []byte) (fault int, err error) {
	fault = -1
	defer mp.catch(&fault, debug.SetPanicOnFault(true))
	err = f(b)
	return fault, err
}

// catch ends a panic that is a fault in the mapping, and no other. It has to be deferred
// itself, not called by a deferred function.
func (mp *mapping) catch(fault *int, old bool) {
	debug.SetPanicOnFault(old)
	r := recover()
	if r == nil {
		return
	}
	if e, ok := r.(interface {
		runtime.Error
		Addr() uintptr
	}); ok {
		if off, ok := syscalls.Offset(mp.mem, e.Addr()); ok {
			if fault != nil {
				*fault = off
			}
			return
		}
	}
	panic(r)
}
