package benchmarks

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A readerAt is what is compared.
type readerAt interface {
	io.ReaderAt
	io.Closer
}

// An opener opens the file name in one way.
type opener struct {
	name string
	open func(name string) (readerAt, error)
}

var openers = []opener{
	{"os.File", func(name string) (readerAt, error) { return os.Open(name) }},
	{"mapping", func(name string) (readerAt, error) { return openMapping(name) }},
	{"MmapMut", func(name string) (readerAt, error) { return snapshot.OpenMut(name) }},
	{"Mmap", func(name string) (readerAt, error) { return snapshot.Open(name) }},
}

// A mapping is a file mapped as it is, with nothing to guard it, as golang.org/x/exp/mmap maps it.
// It is the limit for reads from memory by io.ReaderAt; in peers is that package itself.
type mapping []byte

func (m mapping) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > int64(len(m)) {
		return 0, errors.New("no such offset")
	}
	n := copy(p, m[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m mapping) Close() error { return syscalls.Munmap(m) }

func openMapping(name string) (mapping, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return syscalls.Mmap(int(f.Fd()), int(fi.Size()), false)
}

// A reopener is opened anew on a cold file each time.
type reopener struct {
	readerAt
	cold func()
}

func reopened(tb testing.TB, o opener, name string) *reopener {
	r := &reopener{}
	r.cold = func() {
		if r.readerAt != nil {
			closing(tb, r.readerAt)
		}
		var err error
		r.readerAt, err = o.open(cold(tb, name))
		check(tb, err)
	}
	tb.Cleanup(func() {
		if r.readerAt != nil {
			closing(tb, r.readerAt)
		}
	})
	return r
}

// warm reads a file twice: once by system calls, as a snapshot does the first time, and once by
// touching the mapping, if there is one, which fills the page tables.
func warm(tb testing.TB, r io.ReaderAt, size int64) {
	p := make([]byte, size)
	for range 2 {
		_, err := r.ReadAt(p, 0)
		check(tb, err)
	}
}

// opening opens and closes a snapshot.
func opening(tb testing.TB, name string) interleave.Way {
	return interleave.Once("Mmap", func() {
		m, err := snapshot.Open(name)
		check(tb, err)
		closing(tb, m)
	})
}

// readSome reads size bytes n times, somewhere.
func readSome(tb testing.TB, r io.ReaderAt, n int, size, fileSize int64) {
	p, rnd := make([]byte, size), rand.New(rand.NewPCG(rand.Uint64(), 2))
	for range n {
		if _, err := r.ReadAt(p, rnd.Int64N(fileSize-size)); err != nil {
			tb.Error(err)
		}
	}
}

// readingHot compares reads of size bytes from a file that is read once ahead.
func readingHot(tb testing.TB, name string, fileSize, size int64, g int) interleave.Comparison {
	c := interleave.Comparison{Bytes: size}
	for _, o := range append([]opener{inMemory}, openers...) {
		r, err := o.open(name)
		check(tb, err)
		tb.Cleanup(func() { closing(tb, r) })
		warm(tb, r, fileSize)
		c.Ways = append(c.Ways, interleave.Way{Name: o.name, Do: func(n int) {
			parallel(g, n, func(n int) { readSome(tb, r, n, size, fileSize) })
		}})
	}
	return c
}

func readingAll(tb testing.TB, name string) interleave.Way {
	return interleave.Once("os.ReadFile", func() {
		_, err := os.ReadFile(name)
		check(tb, err)
	})
}

// scan reads all of r, size bytes, a piece at a time.
func scan(tb testing.TB, r io.ReaderAt, size int64, p []byte) {
	for off := int64(0); off < size; off += int64(len(p)) {
		_, err := r.ReadAt(p[:min(int64(len(p)), size-off)], off)
		check(tb, err)
	}
}

func readingAt(tb testing.TB, name string, r io.ReaderAt, fileSize, size int64) interleave.Way {
	p := make([]byte, size)
	return interleave.Way{Name: name, Do: func(n int) {
		at := interleave.NewOffsets(fileSize - size)
		for range n {
			if _, err := r.ReadAt(p, at.Next()); err != nil {
				tb.Error(err)
			}
		}
	}}
}

func openingFile(tb testing.TB, name string) interleave.Way {
	return interleave.Once("os.File", func() {
		f, err := os.Open(name)
		check(tb, err)
		closing(tb, f)
	})
}
