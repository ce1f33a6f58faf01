package syscalls

import (
	"os"
	"syscall"
)

// Mmap maps the first length bytes of a file, shared with every other mapping and descriptor of
// it (MAP_SHARED), read-only or writable: mmap(2). length may exceed the size of the file: the
// pages behind its end fault with SIGBUS until the file has grown. The slice has len == cap ==
// length. The mapping outlives the descriptor.
func Mmap(fd int, length int, write bool) ([]byte, error) {
	var b []byte
	err := do("mmap", func() (err error) {
		b, err = mmap(fd, length, write)
		return err
	})
	return b, err
}

// MmapAnonymous maps length bytes of new memory, zeros that may be read and written, which no
// other process shares (MAP_PRIVATE|MAP_ANONYMOUS): mmap(2). The slice has len == cap == length.
func MmapAnonymous(length int) ([]byte, error) {
	var b []byte
	err := do("mmap", func() (err error) {
		b, err = mmapAnonymous(length)
		return err
	})
	return b, err
}

// Mremap changes the length of a mapping, and its address where it must: mremap(2). b must be a
// whole mapping, as Mmap returned it. Afterwards b is invalid, and if the mapping moved its old
// addresses are free: something else may be mapped there next.
func Mremap(b []byte, length int) ([]byte, error) {
	return remap(b, func() ([]byte, error) { return mremap(b, length) })
}

// MremapDontunmap moves a mapping of the start of the file fd, writable, to where length bytes
// are free, and lengthens it: mremap(2), MREMAP_DONTUNMAP. The page tables move with it, so
// that no page is faulted in again. The old addresses are kept from reuse, still mapped to the
// file; the caller is expected to [MapNone] them and, some day, to [Munmap] them. Shared
// mappings of files need Linux 5.13.
func MremapDontunmap(b []byte, fd int, length int) ([]byte, error) {
	return remap(b, func() ([]byte, error) {
		if length < len(b) {
			return nil, syscall.EINVAL // it does not shorten, whatever the kernel
		}
		moved, err := mremapDontunmap(b, fd, length)
		return moved, orUnsupported(err, syscall.EINVAL) // before Linux 5.13
	})
}

func remap(b []byte, call func() ([]byte, error)) ([]byte, error) {
	var moved []byte
	err := do("mremap", func() (err error) {
		if len(b) == 0 {
			return syscall.EINVAL // no mapping is empty, and b has no address to go by
		}
		moved, err = call()
		return err
	})
	return moved, err
}

// Munmap ends a mapping: munmap(2). Its addresses are free for whatever is mapped next.
func Munmap(b []byte) error {
	return onMemory("munmap", b, func() error { return munmap(b) })
}

// MapNone replaces the mapping of b by one without access (PROT_NONE): every access faults from
// now on, the file is released, and the addresses stay taken until [Munmap]. It is mmap(2) with
// MAP_FIXED, so that no moment exists at which something else could be mapped there.
func MapNone(b []byte) error {
	return onMemory("mmap PROT_NONE", b, func() error { return mapNone(b) })
}

// Mprotect sets what may be done with the memory of b: nothing, reading, or (with read)
// writing: mprotect(2).
func Mprotect(b []byte, read, write bool) error {
	return onMemory("mprotect", b, func() error { return mprotect(b, read, write) })
}

// Munlock lets the kernel write the pages of b to swap space again, and counts them no longer by
// RLIMIT_MEMLOCK: munlock(2). After mlockall(MCL_FUTURE) all new memory is locked, that of
// [MapNone] included.
func Munlock(b []byte) error {
	return onMemory("munlock", b, func() error { return munlock(b) })
}

// DontDump leaves b out of core dumps: madvise(2), MADV_DONTDUMP. A shared mapping of a file
// without a name is in them otherwise, as anonymous memory is. b must start at a page boundary.
func DontDump(b []byte) error {
	return onMemory("madvise DONTDUMP", b, func() error { return dontDump(b) })
}

// AddressLimit returns how many bytes of addresses the process may have: getrlimit(2), RLIMIT_AS.
// It is math.MaxInt64 if there is no limit.
func AddressLimit() (int64, error) {
	var limit int64
	err := do("getrlimit", func() (err error) {
		limit, err = addressLimit()
		return err
	})
	return limit, err
}

// TryMemory returns an error if the kernel refuses to map length bytes of memory: mmap(2). It maps
// them and unmaps them at once. make ends the program where the memory cannot be had. Unless the
// sysctl vm.overcommit_memory is 1, more than all memory and swap space is ENOMEM
// (proc_sys_vm(5)), and so is more than RLIMIT_AS allows.
func TryMemory(length int64) error {
	return do("mmap", func() error { return tryMemory(length) })
}

// Populate faults in the pages of b, reading them from the disk where needed, and with write
// also makes them writable, allocating blocks: madvise(2), MADV_POPULATE_READ and
// MADV_POPULATE_WRITE, Linux 5.14. What would be a SIGBUS is the error EFAULT. b must start at
// a page boundary.
func Populate(b []byte, write bool) error {
	return onMemory("madvise POPULATE", b, func() error { return populate(b, write) })
}

// Mincore tells which pages of b are in memory, mapped or in the page cache: bit 0 of vec[i] is
// set if the i-th is, and the others may be anything: mincore(2). b must start at a page
// boundary, and vec have an element for each of its pages. If the caller neither owns the file
// nor may write to it, the kernel says that all are, since Linux 5.0.
func Mincore(b []byte, vec []byte) error {
	return onMemory("mincore", b, func() error {
		if page := os.Getpagesize(); len(vec) < (len(b)-1)/page+1 {
			return syscall.EINVAL
		}
		return mincore(b, vec)
	})
}

func onMemory(name string, b []byte, call func() error) error {
	if len(b) == 0 {
		return nil
	}
	return do(name, call)
}

// AddrOffset returns where in b an address lies, such as the address of a fault, and whether it
// lies in it at all.
func AddrOffset(b []byte, addr uintptr) (int, bool) {
	start := address(b)
	if addr < start || addr-start >= uintptr(len(b)) {
		return 0, false
	}
	return int(addr - start), true
}
