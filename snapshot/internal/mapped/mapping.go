package mapped

import (
	"errors"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"
	"weak"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A Mapping is memory mapped to a private file. Readers are inside without a lock or a
// reference, so its addresses are given back only when the mapping is unreachable: whoever
// touches the memory keeps it alive until afterwards.
type Mapping struct {
	*addresses

	// Pages that were found in memory, and, where stores are possible, pages that were written
	// to since the kernel may have last written them to the disk, after which the first store
	// to a page waits again: what is in here is touched without a system call. owner owns the
	// private file. Constant but for what is in the sets.
	Resident, Dirty PageSet
	Owner           uint32
	registered      atomic.Bool // the sweeper knows of it
}

// addresses are the range that a mapping takes. They are counted: the snapshot holds one
// reference and every running View another. The last one out poisons them: from then on every
// access faults, and no other file can be mapped there until they are given back.
type addresses struct {
	Mem     []byte // the whole range; constant
	refs    atomic.Int32
	revoked atomic.Bool
	Viewed  atomic.Bool // View gave slices of it to others, who may have kept them
	Escaped atomic.Bool // Bytes did, and they may keep them
}

// New takes over mem, which is mapped to a file of uid.
func New(mem []byte, write bool, uid uint32) *Mapping {
	mp := &Mapping{addresses: &addresses{Mem: mem}, Resident: NewPageSet(len(mem)), Owner: uid}
	if write {
		mp.Dirty = NewPageSet(len(mem))
	}
	mp.refs.Store(1)
	runtime.AddCleanup(mp, (*addresses).finalize, mp.addresses)
	return mp
}

// Map maps length bytes of the private file fd. Memory of snapshots that were closed or
// dropped is given back when the garbage collector finds them unreachable, and it does not know
// how large they are: so it is run when addresses run out, and then what is in quarantine goes,
// too.
func Map(fd, length int, write bool) ([]byte, error) {
	for i := 0; ; i++ {
		mem, err := sys.Mmap(fd, length, write)
		if !errors.Is(err, syscall.ENOMEM) || i == 5 {
			return mem, err
		}
		runtime.GC()
		time.Sleep(time.Millisecond << i) // the cleanups run on a goroutine of their own
		if i == 3 {
			Quarantined.Empty()
		}
	}
}

// Acquire adds a reference, unless the last one is gone.
func (a *addresses) Acquire() bool {
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

// Release gives a reference back.
func (a *addresses) Release() {
	if a.refs.Add(-1) == 0 {
		a.revoke()
	}
}

// revoke makes the memory inaccessible. Where that fails, it stays as it is and is not given
// back: that would show a late reader whatever is mapped there next. It is tried again when the
// mapping is unreachable.
func (a *addresses) revoke() bool {
	if !a.revoked.Load() && sys.Poison(a.Mem) == nil {
		a.revoked.Store(true)
	}
	return a.revoked.Load()
}

// finalize runs when the mapping is unreachable, and gives the addresses back: at once or, if
// somebody may have kept a slice, after a time in quarantine.
func (a *addresses) finalize() {
	neverClosed := a.refs.Load() > 0
	if neverClosed && a.Escaped.Load() {
		return // slices may be in use, which the garbage collector cannot see
	}
	switch {
	case !a.revoke():
	case a.Viewed.Load() || a.Escaped.Load():
		Quarantined.add(a.Mem)
	default:
		_ = sys.Munmap(a.Mem)
	}
}

// MarkResident notes that n bytes from off on are in memory.
func (mp *Mapping) MarkResident(off int64, n int) {
	if mp.Resident.Add(off, n) {
		mp.register()
	}
}

// MarkDirty notes that n bytes from off on are in memory and were written to.
func (mp *Mapping) MarkDirty(off int64, n int) {
	mp.Dirty.Add(off, n)
	mp.MarkResident(off, n)
}

// CopyState takes over what is known of a mapping of the same file. From then on both share it.
func (mp *Mapping) CopyState(old *Mapping) {
	for i := range old.Resident {
		mp.Resident[i].Store(old.Resident[i].Load())
		mp.Dirty[i].Store(old.Dirty[i].Load())
	}
	mp.register()
}

// register has the sweeper look after what is known.
func (mp *Mapping) register() {
	if !mp.registered.Swap(true) {
		Sweeping.add(weak.Make(mp))
	}
}

// recheck forgets what may no longer be so.
func (mp *Mapping) recheck(vec []byte) {
	mp.Dirty.Clear()
	mp.Resident.recheck(mp.Mem, mp.Owner, vec)
}

// Copy is the built-in copy, where dst or src lies in the mapping. It reports false if a page
// could not be had: then an unknown part was copied, because memmove does not go from front to
// back.
func (mp *Mapping) Copy(dst, src []byte) (ok bool) {
	defer mp.catch(nil, debug.SetPanicOnFault(true))
	copy(dst, src)
	runtime.KeepAlive(mp)
	return true
}

// Call calls f and returns its error, and where in the mapping it faulted, or -1.
func (mp *Mapping) Call(f func(b []byte) error, b []byte) (fault int, err error) {
	fault = -1
	defer mp.catch(&fault, debug.SetPanicOnFault(true))
	err = f(b)
	return fault, err
}

// catch ends a panic that is a fault in the mapping, and no other. It has to be deferred
// itself, not called by a deferred function.
func (mp *Mapping) catch(fault *int, old bool) {
	debug.SetPanicOnFault(old)
	r := recover()
	if r == nil {
		return
	}
	if e, ok := r.(interface {
		runtime.Error
		Addr() uintptr
	}); ok {
		if off, ok := syscalls.Offset(mp.Mem, e.Addr()); ok {
			if fault != nil {
				*fault = off
			}
			return
		}
	}
	panic(r)
}
