package syscalls_test

import (
	"bytes"
	"fmt"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var _ = describe(
	call{
		function: "Mremap", name: "mremap", number: unix.SYS_MREMAP,
		do:       func(f *files) error { return second(syscalls.Mremap(f.mem, page)) },
		failures: errnos{syscall.EINVAL, syscall.EFAULT},
	},
	call{
		function: "MremapDontunmap", name: "mremap", number: unix.SYS_MREMAP,
		do: func(f *files) error {
			return second(syscalls.MremapDontunmap(f.mem, f.file(), 2*page))
		},
		unsupported: errnos{syscall.EINVAL},
		failures:    errnos{syscall.EFAULT},
	},
)

//promise:syscalls.Mremap Mremap changes the length of a mapping
func TestMremap(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data := noise(64*page, 1)
		fd := newFile(t, dir, "file", data)
		b, err := syscalls.Mmap(fd, 5000, true)
		must(t, err)
		for _, length := range []int{5001, 64 * page, 3*page + 1, 1, 40 * page} {
			b, err = syscalls.Mremap(b, length)
			must(t, err)
			if len(b) != length || cap(b) != length {
				t.Errorf("len %d, cap %d, want %d", len(b), cap(b), length)
			}
			if !bytes.Equal(b, data[:length]) {
				t.Errorf("length %d: the mapping does not hold what the file does", length)
			}
			b[length-1] ^= 1
			data[length-1] ^= 1
			wantContents(t, fd, data)
		}
		unmapLater(t, b)
		for _, length := range []int{0, -1} {
			_, err := syscalls.Mremap(b, length)
			wantErr(t, err, "mremap", syscall.EINVAL)
		}
		wantFault(t, "load after failures", load(b, len(b)-1), b, -1)
	})
}

// A mapping that has something behind it moves, and leaves its addresses.
//
//promise:syscalls.Mremap a mapping that cannot grow in place moves and frees its addresses
func TestMremapMoves(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data := noise(4*page, 1)
		all := mmap(t, newFile(t, dir, "file", data), 4*page, false)
		b := all[:page]
		// Split from the rest, it is a whole mapping.
		must(t, syscalls.MapNone(all[page:]))
		moved, err := syscalls.Mremap(b, 4*page)
		must(t, err)
		unmapLater(t, moved)
		if !bytes.Equal(moved, data) {
			t.Errorf("the mapping does not hold what the file does")
		}
		if got := mapped(t, b, 0); syscalls.Address(moved) == syscalls.Address(b) || got != "" {
			t.Errorf("the mapping did not move; at its old address is %q", got)
		}
	})
}

//promise:syscalls.MremapDontunmap the old addresses stay reserved, and the page tables move
func TestMremapDontunmap(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data := noise(64*page, 1)
		fd := newFile(t, dir, "file", data)
		for _, test := range []struct{ from, to int }{
			{32 * page, 64 * page}, {5000, 5001}, {5000, 40*page + 1}, {page, page}, {3*page + 7, 3*page + 7},
		} {
			t.Run(fmt.Sprintf("%d to %d", test.from, test.to), func(t *testing.T) {
				old := mmap(t, fd, test.from, true)
				must(t, unix.Madvise(old, unix.MADV_POPULATE_WRITE))
				pages := present(t, old)
				b, err := syscalls.MremapDontunmap(old, fd, test.to)
				must(t, err)
				unmapLater(t, b)
				if len(b) != test.to || cap(b) != test.to {
					t.Errorf("len %d, cap %d, want %d", len(b), cap(b), test.to)
				}
				// The page tables are moved: no page of the new address needs a fault, all of
				// the old do.
				if moved, left := present(t, b[:test.from]), present(t, old); moved != pages || left != 0 {
					t.Errorf("of %d pages %d are present, and %d where they were", pages, moved, left)
				}
				if !bytes.Equal(b, data[:test.to]) {
					t.Errorf("the mapping does not hold what the file does")
				}
				b[0] ^= 1
				b[test.to-1] ^= 1
				data[0] ^= 1
				data[test.to-1] ^= 1
				wantContents(t, fd, data)
				// The old addresses are of no other use, and still show the file.
				if !bytes.Equal(old, data[:test.from]) {
					t.Errorf("the old addresses do not hold what the file does")
				}
				must(t, syscalls.MapNone(old))
				wantFault(t, "load from the old addresses", load(old, test.from-1), old, test.from-1)
				wantFault(t, "load from the new", load(b, test.from-1), b, -1)
			})
		}
	})
}

// The result is one mapping, as what Mmap returns is, and so can be moved again.
func TestMremapDontunmapTwice(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data := noise(16*page, 1)
		fd := newFile(t, dir, "file", data)
		b := mmap(t, fd, page, true)
		for _, length := range []int{2 * page, 4 * page, 8 * page} {
			moved, err := syscalls.MremapDontunmap(b, fd, length)
			must(t, err)
			b = unmapLater(t, moved)
		}
		last, err := syscalls.MremapDontunmap(b, fd, 16*page)
		must(t, err)
		last, err = syscalls.Mremap(last, 3*page)
		must(t, err)
		unmapLater(t, last)
		if !bytes.Equal(last, data[:3*page]) {
			t.Errorf("the mapping does not hold what the file does")
		}
	})
}

// A failure leaves the mapping where it is, and takes no addresses.
func TestMremapDontunmapRefused(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data := noise(4*page, 1)
		fd := newFile(t, dir, "file", data)
		b := mmap(t, fd, 2*page, true)
		for try := 0; ; try++ {
			before := len(mappings(t))
			for _, length := range []int{2*page - 1, 0, -1} {
				_, err := syscalls.MremapDontunmap(b, fd, length)
				wantErr(t, err, "mremap", syscall.EINVAL)
			}
			// What is moved already comes to nothing if the rest cannot be mapped.
			_, err := syscalls.MremapDontunmap(b, -1, 4*page)
			wantErr(t, err, "mremap", syscall.EBADF)
			if !bytes.Equal(b, data[:2*page]) {
				t.Errorf("the mapping does not hold what the file does")
			}
			after := len(mappings(t))
			if after == before {
				break
			}
			if try == 4 { // the runtime maps memory, too, but not always
				t.Fatalf("the process had %d mappings of no use, has %d", before, after)
			}
		}
	})
}
