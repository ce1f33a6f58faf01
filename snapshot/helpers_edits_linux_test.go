package snapshot_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"unsafe"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"golang.org/x/sys/unix"
)

// An editedFile is a file that tests change in all ways that the kernel has. It is larger than a
// small file, and of a size that is no multiple of a page.
type editedFile struct {
	t    *testing.T
	name string
	fd   int
	rand *rand.Rand
	size int64
}

const (
	editedLeast = 160 << 10
	editedMost  = 1 << 20
	editedBlock = 4 << 10
)

func newEditedFile(t *testing.T, name string, fd int, seed uint64) *editedFile {
	f := &editedFile{t: t, name: name, fd: fd, rand: rand.New(rand.NewPCG(seed, 1))}
	f.write(0, 600<<10+123)
	return f
}

// words returns n bytes that can be compressed, and differ from call to call.
func (f *editedFile) words(n int64) []byte {
	b := make([]byte, n)
	for i := range b {
		if i%32 == 0 {
			b[i] = byte(f.rand.Uint32())
		}
		b[i] |= 'a' | byte(i>>12)&7
	}
	return b
}

// write writes n bytes at off.
func (f *editedFile) write(off, n int64) {
	f.pwrite(f.fd, f.words(n), off)
}

func (f *editedFile) pwrite(fd int, p []byte, off int64) {
	f.t.Helper()
	if n, err := unix.Pwrite(fd, p, off); n != len(p) || err != nil {
		f.t.Fatalf("pwrite %d at %d: %d, %v", len(p), off, n, err)
	}
	f.stat()
}

func (f *editedFile) stat() {
	var st unix.Stat_t
	must(f.t, unix.Fstat(f.fd, &st))
	f.size = st.Size
}

// block returns the offset and the length of some blocks within the size.
func (f *editedFile) block() (off, n int64) {
	off = f.rand.Int64N(f.size/editedBlock) * editedBlock
	return off, min(f.size-off, (1+f.rand.Int64N(16))*editedBlock) &^ (editedBlock - 1)
}

// somewhere returns the offset and the length of some bytes within the size.
func (f *editedFile) somewhere() (off, n int64) {
	off = f.rand.Int64N(f.size)
	return off, min(f.size-off, 1+f.rand.Int64N(3*editedBlock))
}

// allocate is fallocate(2) with a mode that the filesystem may not have.
func (f *editedFile) allocate(mode uint32, off, n int64) {
	err := unix.Fallocate(f.fd, mode, off, n)
	if err != nil && err != unix.EOPNOTSUPP && err != unix.EINVAL {
		f.t.Fatalf("fallocate %#x: %v", mode, err)
	}
	f.stat()
}

func (f *editedFile) truncate(size int64) {
	must(f.t, unix.Ftruncate(f.fd, size))
	f.stat()
}

// store stores through a mapping of n bytes at off, which can reach behind the end.
func (f *editedFile) store(off int64, p []byte) {
	first := off &^ int64(os.Getpagesize()-1)
	mem, err := unix.Mmap(f.fd, first, int(off-first)+len(p), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED)
	must(f.t, err)
	copy(mem[off-first:], p)
	must(f.t, unix.Munmap(mem))
}

// cloneRange shares a range of the file from at its own offset to, if the filesystem can.
func (f *editedFile) cloneRange(to, from, n int64) {
	_ = syscalls.FicloneRange(f.fd, to, f.fd, from, n)
	f.stat()
}

// edits are the ways to change a file, by name. Some do not change its contents.
var edits = []struct {
	name string
	do   func(f *editedFile)
}{
	{"write of blocks", func(f *editedFile) { f.write(f.block()) }},
	{"write of bytes", func(f *editedFile) { f.write(f.somewhere()) }},
	{"write of one byte", func(f *editedFile) { f.write(f.rand.Int64N(f.size), 1) }},
	{"append", func(f *editedFile) {
		if f.size < editedMost {
			f.write(f.size, 1+f.rand.Int64N(8*editedBlock))
		}
	}},
	{"same bytes", func(f *editedFile) {
		off, n := f.block()
		p := make([]byte, n)
		_, err := unix.Pread(f.fd, p, off)
		must(f.t, err)
		f.pwrite(f.fd, p, off)
	}},
	{"store", func(f *editedFile) {
		off, n := f.somewhere()
		f.store(off, f.words(n))
	}},
	{"store behind the end, then longer", func(f *editedFile) {
		if rest := -f.size & (editedBlock - 1); rest > 0 && f.size < editedMost {
			f.store(f.size, f.words(rest)) // the kernel clears it some time
			f.truncate(f.size + rest)
		}
	}},
	{"O_DIRECT", func(f *editedFile) {
		fd, err := unix.Open(f.name, unix.O_WRONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
		must(f.t, err)
		defer unix.Close(fd)
		off, n := f.block()
		mem, err := unix.Mmap(-1, 0, 16*editedBlock, unix.PROT_READ|unix.PROT_WRITE,
			unix.MAP_ANON|unix.MAP_PRIVATE)
		must(f.t, err)
		copy(mem, f.words(n))
		f.pwrite(fd, mem[:n], off)
		must(f.t, unix.Munmap(mem))
	}},
	{"hole", func(f *editedFile) {
		off, n := f.somewhere()
		f.allocate(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	}},
	{"holes in every other block", func(f *editedFile) {
		off, n := f.block()
		for at := off; at < off+n; at += 2 * editedBlock {
			f.allocate(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, editedBlock)
		}
	}},
	{"zeros", func(f *editedFile) {
		off, n := f.somewhere()
		f.allocate(unix.FALLOC_FL_ZERO_RANGE, off, n)
	}},
	{"preallocation", func(f *editedFile) {
		f.allocate(unix.FALLOC_FL_KEEP_SIZE, f.size&^(editedBlock-1), 8*editedBlock)
	}},
	{"longer by fallocate", func(f *editedFile) {
		if f.size < editedMost {
			f.allocate(0, f.size, 2*editedBlock+7)
		}
	}},
	{"collapsed range", func(f *editedFile) {
		if off, n := f.block(); off+n < f.size && f.size-n > editedLeast {
			f.allocate(unix.FALLOC_FL_COLLAPSE_RANGE, off, n)
		}
	}},
	{"inserted range", func(f *editedFile) {
		if off, n := f.block(); f.size < editedMost {
			f.allocate(unix.FALLOC_FL_INSERT_RANGE, off, n)
		}
	}},
	{"unshared range", func(f *editedFile) {
		off, n := f.block()
		f.allocate(unix.FALLOC_FL_UNSHARE_RANGE, off, n)
	}},
	{"shorter", func(f *editedFile) {
		f.truncate(max(editedLeast, f.size-f.rand.Int64N(8*editedBlock)))
	}},
	{"longer", func(f *editedFile) {
		if f.size < editedMost {
			f.truncate(f.size + f.rand.Int64N(8*editedBlock))
		}
	}},
	{"shorter and longer", func(f *editedFile) {
		size := f.size
		f.truncate(max(editedLeast, size-f.rand.Int64N(8*editedBlock)))
		f.truncate(size)
	}},
	{"cloned range", func(f *editedFile) {
		from, n := f.block()
		to, _ := f.block()
		f.cloneRange(to, from, n)
	}},
	{"swapped blocks", func(f *editedFile) {
		a, _ := f.block()
		b, _ := f.block()
		p, q := make([]byte, editedBlock), make([]byte, editedBlock)
		n, err := unix.Pread(f.fd, p, a)
		must(f.t, err)
		k, err := unix.Pread(f.fd, q, b)
		must(f.t, err)
		f.pwrite(f.fd, p[:min(n, k)], b)
		f.pwrite(f.fd, q[:min(n, k)], a)
	}},
	{"copy_file_range", func(f *editedFile) {
		from, n := f.block()
		to, _ := f.block()
		if n = min(n, max(from-to, to-from), f.size-to); n > 0 {
			_, err := syscalls.CopyFileRange(f.fd, to, f.fd, from, int(n))
			if !errors.Is(err, errors.ErrUnsupported) { // an old kernel
				must(f.t, err)
			}
		}
	}},
	{"deduplication", func(f *editedFile) {
		to, _ := f.block()
		from, _ := f.block()
		p := make([]byte, editedBlock)
		if n, err := unix.Pread(f.fd, p, from); err == nil && n == len(p) && to+editedBlock <= f.size {
			f.pwrite(f.fd, p, to)
			f.dedupe(to, from)
		}
	}},
	{"fsync", func(f *editedFile) { must(f.t, unix.Fsync(f.fd)) }},
	{"defragmentation", func(f *editedFile) { // BTRFS_IOC_DEFRAG, of btrfs only
		const defrag = 0x50009402
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(f.fd), defrag, 0)
	}},
	{"all of it", func(f *editedFile) { f.write(0, f.size) }},
}

// dedupe shares a block, if the filesystem can.
func (f *editedFile) dedupe(to, from int64) {
	r := struct {
		unix.RawFileDedupeRange
		unix.RawFileDedupeRangeInfo
	}{
		unix.RawFileDedupeRange{Src_offset: uint64(from), Src_length: editedBlock, Dest_count: 1},
		unix.RawFileDedupeRangeInfo{Dest_fd: int64(f.fd), Dest_offset: uint64(to)},
	}
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(f.fd), unix.FIDEDUPERANGE,
		uintptr(unsafe.Pointer(&r)))
}
