package syscalls_test

import (
	"bytes"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var _ = describe(
	call{
		function: "Mmap", name: "mmap", number: none,
		do: func(f *files) error { return second(syscalls.Mmap(f.file(), page, false)) },
	},
	call{
		function: "MmapAnonymous", name: "mmap", number: none,
		do: func(*files) error { return second(syscalls.MmapAnonymous(page)) },
	},
)

//promise:syscalls.Mmap the mapping is shared, has len equal to cap, and outlives the descriptor
func TestMmap(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data := noise(10000, 1)
		fd := newFile(t, dir, "file", data)
		again, err := unix.Dup(fd)
		must(t, err)
		a, err := syscalls.Mmap(again, len(data), true)
		must(t, err)
		must(t, unix.Close(again)) // the mapping outlives it
		unmapLater(t, a)
		b := mmap(t, fd, 5000, false)
		if len(a) != 10000 || cap(a) != 10000 || len(b) != 5000 || cap(b) != 5000 {
			t.Errorf("len %d and %d, cap %d and %d, want 10000 and 5000", len(a), len(b), cap(a), cap(b))
		}
		if !bytes.Equal(a, data) || !bytes.Equal(b, data[:5000]) {
			t.Errorf("the mappings do not hold what the file does")
		}
		// Shared: each sees what the other or the descriptor wrote.
		copy(a[4000:], "by mapping")
		write(t, fd, []byte("by write"), 200)
		copy(data[4000:], "by mapping")
		copy(data[200:], "by write")
		wantContents(t, fd, data)
		if !bytes.Equal(a, data) || !bytes.Equal(b, data[:5000]) {
			t.Errorf("the mappings do not hold what was written")
		}
		wantFault(t, "store to a read-only mapping", store(b, 4321, 1), b, 4321)
	})
}

//promise:syscalls.MmapAnonymous the memory is zeros, writable, and has len equal to cap
func TestMmapAnonymous(t *testing.T) {
	b, err := syscalls.MmapAnonymous(5000)
	must(t, err)
	unmapLater(t, b)
	if len(b) != 5000 || cap(b) != 5000 || !bytes.Equal(b, make([]byte, 5000)) {
		t.Errorf("len %d, cap %d, want 5000 zeros", len(b), cap(b))
	}
	copy(b, noise(5000, 1))
	if !bytes.Equal(b, noise(5000, 1)) {
		t.Error("it does not hold what was stored")
	}
	for _, length := range []int{0, -1, -1 << 31} {
		_, err := syscalls.MmapAnonymous(length)
		wantErr(t, err, "mmap", syscall.EINVAL)
	}
}

//promise:syscalls.Mmap pages behind the end of the file fault until the file grows
func TestMmapBeyondEnd(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		fd := newFile(t, dir, "file", noise(100, 1))
		b := mmap(t, fd, 3*page, true)
		// Up to its end, the last page is memory like any other.
		wantFault(t, "load from the page of the end", load(b, page-1), b, -1)
		wantFault(t, "load from behind the end", load(b, page+7), b, page+7)
		wantFault(t, "store behind the end", store(b, 2*page+9, 1), b, 2*page+9)
		write(t, fd, []byte("x"), int64(2*page))
		wantFault(t, "load once the file has grown", load(b, page+7), b, -1)
		wantFault(t, "store once the file has grown", store(b, 2*page+9, 1), b, -1)
		must(t, unix.Ftruncate(fd, 0))
		wantFault(t, "load once the file has shrunk", load(b, 0), b, 0)
	})
}

func TestMmapRefused(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		fd := newFile(t, dir, "file", noise(100, 1))
		for _, length := range []int{0, -1, -1 << 31} {
			b, err := syscalls.Mmap(fd, length, false)
			wantErr(t, err, "mmap", syscall.EINVAL)
			if b != nil {
				t.Errorf("length %d: %d bytes beside an error", length, len(b))
			}
		}
		_, err := syscalls.Mmap(open(t, filepath.Join(dir, "file"), unix.O_RDONLY), 100, true)
		wantErr(t, err, "mmap", syscall.EACCES)
		_, err = syscalls.Mmap(open(t, filepath.Join(dir, "file"), unix.O_WRONLY), 100, false)
		wantErr(t, err, "mmap", syscall.EACCES)
		_, err = syscalls.Mmap(open(t, dir, unix.O_RDONLY), 100, false)
		wantErr(t, err, "mmap", syscall.ENODEV)
	})
}

//promise:syscalls.Munmap Munmap frees the addresses
func TestMunmap(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		// Between two others, so that nothing takes its place.
		fd := newFile(t, dir, "file", noise(3*page, 1))
		all, err := syscalls.Mmap(fd, 3*page, false)
		must(t, err)
		b := all[page : 2*page-1]
		must(t, syscalls.Munmap(b))
		if got := mapped(t, b, 0); got != "" {
			t.Errorf("still mapped: %s", got)
		}
		// The rest of it, and again: nothing is nothing to unmap.
		must(t, syscalls.Munmap(all))
		wantErr(t, syscalls.Munmap(all[1:]), "munmap", syscall.EINVAL)
	})
}

//promise:syscalls.MapNone each access faults, the file is released, the addresses stay reserved
func TestMapNone(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		fd := newFile(t, dir, "file", noise(4*page, 1))
		b := mmap(t, fd, 4*page, true)
		must(t, syscalls.MapNone(b[page:2*page+1]))
		for _, i := range []int{page, 2*page + 5} {
			wantFault(t, "load from revoked memory", load(b, i), b, i)
			wantFault(t, "store to revoked memory", store(b, i, 1), b, i)
		}
		for _, i := range []int{0, 3 * page} {
			wantFault(t, "load beside revoked memory", load(b, i), b, -1)
		}
		must(t, syscalls.MapNone(b))
		// The addresses are taken, by nothing, and the file is let go.
		if got := mapped(t, b, 3*page); got != "---p " {
			t.Errorf("mapped is %q, want nothing that may be touched", got)
		}
		must(t, syscalls.MapNone(b))
		must(t, syscalls.Munmap(b[:page]))
		if got := mapped(t, b, 0); got != "" {
			t.Errorf("after Munmap: %s", got)
		}
		wantErr(t, syscalls.MapNone(b[page+1:2*page]), "mmap PROT_NONE", syscall.EINVAL)
	})
}

//promise:syscalls.Mprotect Mprotect permits no access, reads, or reads and writes
func TestMprotect(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		fd := newFile(t, dir, "file", noise(2*page, 1))
		b := mmap(t, fd, 2*page, true)
		for _, test := range []struct{ read, write bool }{{false, false}, {true, false}, {true, true}, {false, false}} {
			must(t, syscalls.Mprotect(b[:page], test.read, test.write))
			at := map[bool]int{false: 10, true: -1} // where it faults
			wantFault(t, "load", load(b, 10), b, at[test.read])
			wantFault(t, "store", store(b, 10, 1), b, at[test.write])
			wantFault(t, "store beside it", store(b, page, 1), b, -1)
		}
		// What the descriptor may not, its mapping may not.
		c := mmap(t, open(t, filepath.Join(dir, "file"), unix.O_RDONLY), page, false)
		wantErr(t, syscalls.Mprotect(c, true, true), "mprotect", syscall.EACCES)
		wantErr(t, syscalls.Mprotect(c[1:], true, false), "mprotect", syscall.EINVAL)
	})
}

// A call does nothing if the slice is empty.
//
//promise:syscalls.Munmap a call on empty memory does nothing
//promise:syscalls.MapNone a call on empty memory does nothing
//promise:syscalls.Mprotect a call on empty memory does nothing
//promise:syscalls.Populate a call on empty memory does nothing
//promise:syscalls.Munlock a call on empty memory does nothing
//promise:syscalls.DontDump a call on empty memory does nothing
//promise:syscalls.Mremap empty memory is EINVAL
//promise:syscalls.MremapDontunmap empty memory is EINVAL
func TestEmptySliceDoesNothing(t *testing.T) {
	for _, b := range [][]byte{nil, {}, make([]byte, 10)[5:5]} {
		for name, err := range map[string]error{
			"Munmap":   syscalls.Munmap(b),
			"MapNone":  syscalls.MapNone(b),
			"Mprotect": syscalls.Mprotect(b, false, false),
			"Populate": syscalls.Populate(b, true),
			"Munlock":  syscalls.Munlock(b),
			"DontDump": syscalls.DontDump(b),
		} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		// These have nothing to return.
		moved, err := syscalls.Mremap(b, page)
		wantErr(t, err, "mremap", syscall.EINVAL)
		moved2, err := syscalls.MremapDontunmap(b, -1, page)
		wantErr(t, err, "mremap", syscall.EINVAL)
		if moved != nil || moved2 != nil {
			t.Errorf("memory beside an error")
		}
	}
}
