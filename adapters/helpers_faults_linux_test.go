package adapters_test

import (
	"bytes"
	"io"
	"io/fs"
	"syscall"
	"testing"
)

var errSector = &fs.PathError{Op: "read", Path: "bad", Err: syscall.EIO}

// badDisk is a source of which the pages from some offset on cannot be had: in the mapping they
// fault, and ReadAt has the reason, as on a disk with a bad sector.
type badDisk struct {
	mem     []byte
	content []byte
	bad     int64
	views   int
	err     error // of View
}

func (d *badDisk) Size() int64 { return int64(len(d.content)) }

func (d *badDisk) Name() string { return "bad" }

func (d *badDisk) Stat() (fs.FileInfo, error) { return nil, errSector }

func (d *badDisk) ReadAt(p []byte, off int64) (int, error) {
	n, err := bytes.NewReader(d.content[:d.bad]).ReadAt(p, off)
	if err == io.EOF {
		err = errSector
	}
	return n, err
}

func (d *badDisk) View(off, n int64, f func(b []byte) error) error {
	if d.err != nil {
		return d.err
	}
	d.views++
	return f(d.mem[off : off+n])
}

func newBadDisk(t *testing.T, size, bad int) *badDisk {
	mem, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(mem) })
	d := &badDisk{mem: mem, content: random(size), bad: int64(bad)}
	copy(mem, d.content)
	if err := syscall.Mprotect(mem[bad:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	return d
}
