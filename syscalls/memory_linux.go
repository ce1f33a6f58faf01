package syscalls

import (
	"math"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Every use of unsafe in the module is in this file, in address.go and in extents_linux.go. Two
// arguments carry all of them: an address that the kernel returned for length bytes is valid
// for length bytes until it is unmapped, which is what unsafe.Slice needs; and addresses of
// mapped memory are not moved or freed by the garbage collector, so that arithmetic on them,
// and keeping them apart from any Go object, is sound.
//
// unix.Mmap is not used: it keeps every mapping in a table under one lock, and refuses slices
// that it did not make.

// reserveFlags map memory that costs nothing but its addresses.
const reserveFlags = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_NORESERVE

func mmap(fd int, length int, write bool) ([]byte, error) {
	if length <= 0 {
		return nil, unix.EINVAL
	}
	prot := unix.PROT_READ
	if write {
		prot |= unix.PROT_WRITE
	}
	p, err := unix.MmapPtr(fd, 0, nil, uintptr(length), prot, unix.MAP_SHARED)
	return bytesAt(p, length, err)
}

func mmapAnonymous(length int) ([]byte, error) {
	if length <= 0 {
		return nil, unix.EINVAL
	}
	const flags = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(length), unix.PROT_READ|unix.PROT_WRITE, flags)
	return bytesAt(p, length, err)
}

func mremap(b []byte, length int) ([]byte, error) {
	if length <= 0 {
		return nil, unix.EINVAL
	}
	p, err := unix.MremapPtr(base(b), uintptr(len(b)), nil, uintptr(length), unix.MREMAP_MAYMOVE)
	return bytesAt(p, length, err)
}

func mremapDontunmap(b []byte, fd int, length int) ([]byte, error) {
	page := os.Getpagesize()
	old := (len(b) + page - 1) &^ (page - 1)
	// The kernel moves at equal size only, so addresses for the new length are reserved
	// first. Then the mapping moves to their start, and the rest is mapped behind it; the kernel
	// joins the two.
	reservation, err := unix.MmapPtr(-1, 0, nil, uintptr(length), unix.PROT_NONE, reserveFlags)
	if err != nil {
		return nil, err
	}
	const move = unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED | unix.MREMAP_DONTUNMAP
	_, err = unix.MremapPtr(base(b), uintptr(old), reservation, uintptr(old), move)
	if err == nil && length > old {
		_, err = unix.MmapPtr(fd, int64(old), unsafe.Add(reservation, old), uintptr(length-old),
			unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED)
	}
	if err != nil {
		// The old addresses are still mapped to the file, whatever happened: only page tables
		// are lost.
		_ = unix.MunmapPtr(reservation, uintptr(length))
		return nil, err
	}
	return bytesAt(reservation, length, nil)
}

func munmap(b []byte) error { return unix.MunmapPtr(base(b), uintptr(len(b))) }

func mapNone(b []byte) error {
	const flags = reserveFlags | unix.MAP_FIXED
	_, err := unix.MmapPtr(-1, 0, base(b), uintptr(len(b)), unix.PROT_NONE, flags)
	return err
}

func mprotect(b []byte, read, write bool) error {
	prot := unix.PROT_NONE
	if read {
		prot |= unix.PROT_READ
	}
	if write {
		prot |= unix.PROT_WRITE
	}
	return unix.Mprotect(b, prot)
}

func munlock(b []byte) error { return unix.Munlock(b) }

func dontDump(b []byte) error { return unix.Madvise(b, unix.MADV_DONTDUMP) }

func addressLimit() (int64, error) {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_AS, &limit)
	return int64(min(limit.Cur, math.MaxInt64)), err
}

func tryMemory(length int64) error {
	switch {
	case length <= 0:
		return unix.EINVAL
	case length > math.MaxInt:
		return unix.ENOMEM
	}
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(length), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	return unix.MunmapPtr(p, uintptr(length))
}

func populate(b []byte, write bool) error {
	advice := unix.MADV_POPULATE_READ
	if write {
		advice = unix.MADV_POPULATE_WRITE
	}
	err := unix.Madvise(b, advice)
	if err != unix.EINVAL {
		return err
	}
	// Memory that may not be read, or written, is EINVAL too. No length asks only whether the
	// kernel knows the advice, which it does not before Linux 5.14.
	if _, _, unknown := unix.Syscall(unix.SYS_MADVISE, 0, 0, uintptr(advice)); unknown != 0 {
		return orUnsupported(err, unix.EINVAL)
	}
	return err
}

func mincore(b, vec []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(base(b)), uintptr(len(b)), uintptr(base(vec)))
	if errno != 0 {
		return errno
	}
	return nil
}

func base(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

func bytesAt(p unsafe.Pointer, length int, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), length), nil
}
