package mapped

import (
	"errors"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

const (
	// viewPrefault is how much of its slice View reads into memory before it calls f.
	viewPrefault = 128 << 10

	// prefetchStep is how much Prefetch asks for in one system call, which holds off changes to
	// the address space of the whole program.
	prefetchStep = 4 << 20
)

func (r *Region) TryRead(p []byte, off int64) (done bool) {
	m, chunks := r.mem.Load(), r.resident.chunks.Load()
	if m == nil || chunks == nil || len(p) == 0 || off < 0 ||
		int64(len(p)) > min(r.size.Load(), int64(len(m.mem)))-off {
		return false
	}
	first, last := uint64(off)>>pageShift, (uint64(off)+uint64(len(p))-1)>>pageShift
	if first/64 != last/64 {
		if !r.resident.has(off, len(p)) {
			return false
		}
	} else if !hasBits(*chunks, first, last) {
		return false
	}
	src := m.mem[off:]
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if !done { // recover takes as long as half of the rest
			m.fault(recover())
		}
	}()
	copy(p, src)
	runtime.KeepAlive(m)
	return true
}

func (r *Region) ReadAt(p []byte, off int64) (int, error) {
	if r.resident.has(off, len(p)) {
		if _, err := r.memory(off+int64(len(p)), false); err == nil && r.TryRead(p, off) {
			return len(p), nil
		}
	}
	n, err := r.file.ReadAt(p, off)
	if err != nil {
		return n, UnwrapPathError(err)
	}
	r.markResident(off, n)
	return n, nil
}

func (r *Region) WriteAt(p []byte, off int64) (int, error) {
	if r.dirty.has(off, len(p)) {
		if m, err := r.memory(off+int64(len(p)), false); err == nil && m.tryCopy(m.mem[off:], p) {
			return len(p), nil
		}
	}
	return r.Pwrite(p, off)
}

func (r *Region) Pwrite(p []byte, off int64) (int, error) {
	n, err := r.file.WriteAt(p, off)
	if page := os.Getpagesize(); err != nil && off%int64(page)+int64(len(p)) > int64(page) {
		n, err = 0, nil
		for n < len(p) && err == nil {
			step := min(len(p)-n, page-int((off+int64(n))%int64(page)))
			if _, err = r.file.WriteAt(p[n:n+step], off+int64(n)); err == nil {
				n += step
			}
		}
	}
	if err != nil {
		return n, UnwrapPathError(err)
	}
	r.dirty.add(off, n)
	r.markResident(off, n)
	return n, nil
}

func (r *Region) View(off, n int64, f func(b []byte) error) (fault int64, ferr, err error) {
	m, err := r.acquire(off + n)
	if err != nil {
		return -1, nil, err
	}
	defer m.release()
	if !m.viewed.Load() {
		m.viewed.Store(true)
	}
	if first := min(n, viewPrefault); !r.resident.has(off, int(first)) && populate(m.mem, off, first) == nil {
		r.markResident(off, int(first))
	}
	at, ferr := m.call(f, m.mem[off:off+n:off+n])
	return int64(at), ferr, nil
}

func (r *Region) Bytes() []byte {
	size := r.Size()
	if size == 0 {
		return nil
	}
	m, err := r.acquire(size)
	if err != nil {
		return nil
	}
	defer m.release()
	m.escaped.Store(true)
	return m.mem[:size:size]
}

func (r *Region) Prefetch(off, n int64) error {
	m, err := r.acquire(off + n)
	if err != nil {
		return err
	}
	defer m.release()
	for end := off + n; off < end; off += prefetchStep {
		step := min(prefetchStep, end-off)
		if r.resident.has(off, int(step)) && populate(m.mem, off, step) == nil {
			continue
		}
		if err := r.read(off, step); err != nil {
			return err
		}
		_ = populate(m.mem, off, step) // so that touching it is no fault
		r.markResident(off, int(step))
	}
	return nil
}

func (r *Region) Resident(off, n int64) bool { return n == 0 || r.resident.has(off, int(n)) }

func (r *Region) ReadError(off int64) error {
	if err := r.read(off, 1); err != nil {
		return err
	}
	return syscall.EFAULT
}

func (r *Region) StoreError(off int64) error {
	if err := r.ReadError(off); !errors.Is(err, syscall.EFAULT) {
		return err
	}
	var b [1]byte
	_, err := r.file.ReadAt(b[:], off)
	if err == nil {
		_, err = r.file.WriteAt(b[:], off)
	}
	if err != nil && !errors.Is(err, io.EOF) { // EOF: the file has become shorter
		return UnwrapPathError(err)
	}
	return syscall.EFAULT
}

var scratch = sync.Pool{New: func() any { return new([128 << 10]byte) }}

func (r *Region) read(off, n int64) error {
	buf := scratch.Get().(*[128 << 10]byte)
	defer scratch.Put(buf)
	for end := off + n; off < end; off += int64(len(buf)) {
		if _, err := r.file.ReadAt(buf[:min(int64(len(buf)), end-off)], off); err != nil && err != io.EOF {
			return UnwrapPathError(err)
		}
	}
	return nil
}

func populate(mem []byte, off, n int64) error {
	page := int64(os.Getpagesize())
	start := off &^ (page - 1)
	return sys.Populate(mem[start:off+n], false)
}
