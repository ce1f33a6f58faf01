package snapshot_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// isLost reports whether an error says that the kernel could not write dirty pages.
func isLost(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EIO)
}

const lostSize = 1 << 20

// A lostCopy is a file and snapshots of it whose dirty pages the disk has refused and the kernel has
// forgotten.
type lostCopy struct {
	*fullDisk
	name string
	data []byte
	cold *snapshot.Mmap    // it was never read
	hot  *snapshot.Mmap    // its pages are known to be in memory
	mut  *snapshot.MmapMut // all of it was overwritten
	mine []byte            // what mut holds
}

func newLostCopy(t *testing.T, kind *mounttest.Kind) *lostCopy {
	t.Helper()
	d := newFullDisk(t, kind)
	must(t, d.m.Close())
	d.free(t)
	name := filepath.Join(filepath.Dir(d.name), "lost")
	l := &lostCopy{fullDisk: d, name: name, data: noise(3, lostSize), mine: noise(4, lostSize)}
	write(t, name, l.data)
	must(t, syncFile(name))
	l.cold, l.hot, l.mut = open(t, name), open(t, name), openMut(t, name)
	_, err := l.mut.WriteAt(l.mine, 0)
	must(t, err)
	for range 2 { // the second maps the file
		for _, m := range []reader{l.hot, l.mut} {
			_, err = m.ReadAt(make([]byte, lostSize), 0)
			must(t, err)
		}
	}
	var st unix.Statfs_t
	must(t, unix.Statfs(d.outer, &st))
	d.resize(t, (int64(st.Blocks)-int64(st.Bfree))*int64(st.Bsize))
	var e evictions
	e.evict(filepath.Dir(name))
	must(t, e.err)
	t.Logf("%d pages left memory, %d did not", e.pages, e.left)
	return l
}

// wantNoneWrong reads all of a snapshot, in each way, and checks that it gets the right bytes or an
// error. Bytes is nil if there was an error.
func (l *lostCopy) wantNoneWrong(t *testing.T, m reader, want []byte) {
	t.Helper()
	failed := 0
	check := func(what string, off int, p []byte, err error) {
		if err != nil {
			if failed++; !isLost(err) {
				t.Errorf("%T: %s: %v", m, what, err)
			}
		} else if !bytes.Equal(p, want[off:off+len(p)]) {
			t.Errorf("%T, %v: %s at %d: other bytes, and no error", m, m.Method(), what, off)
		}
	}
	const step = 64 << 10
	for off := 0; off < lostSize; off += step {
		p := make([]byte, step)
		_, err := m.ReadAt(p, int64(off))
		check("ReadAt", off, p, err)
		err = m.View(int64(off), step, func(b []byte) error { copy(p, b); return nil })
		check("View", off, p, err)
		check("Prefetch", off, nil, m.Prefetch(int64(off), step))
	}
	t.Logf("%T, %v: %d reads failed", m, m.Method(), failed)
	resident := m.(interface{ Resident(off, n int64) bool }).Resident(0, 1)
	if b, lost := m.Bytes(), failed > 0; lost == (b != nil) || lost && resident {
		t.Errorf("%T, lost: %v: Bytes has %d bytes, resident: %v", m, lost, len(b), resident)
	}
}

// If the disk refuses the dirty pages of a private file, and the kernel forgets them, reading them
// is an error, in each way of it, and never returns zeros or old data. Pages that are known to be in
// memory may be wrong until the next sweep. Reflinks have no dirty pages.
//
//promise:snapshot.Mmap.ReadAt if the disk refused the private copy, pages that left memory are an error
//promise:snapshot.Mmap.View if the disk refused the private copy, pages that left memory are an error
//promise:snapshot.Mmap.Link if the disk refused the private copy, Link is an error and leaves no name
//promise:snapshot.MmapMut.Commit if a read met pages that the disk refused, commits fail
//promise:snapshot.MmapMut.ReadAt if the disk refused what was stored, pages that left memory are an error
func TestLostCopy(t *testing.T) {
	mounttest.EachKind(t, mounttest.Disk, func(t *testing.T, kind *mounttest.Kind) {
		mounttest.Leaks(t)
		defer mapped.HoldSweeper()()
		l := newLostCopy(t, kind)
		l.wantNoneWrong(t, l.cold, l.data)
		p := make([]byte, lostSize)
		for _, m := range []reader{l.hot, l.mut} { // their pages are in memory again
			n, err := m.ReadAt(p, 0)
			t.Logf("%T, before the sweep: %d bytes, the first %x, %v", m, n, p[:4], err)
		}
		mapped.Sweep()
		l.wantNoneWrong(t, l.hot, l.data)
		l.wantNoneWrong(t, l.mut, l.mine)
		l.free(t)
		for _, way := range ways { // the sweep got the report that the commits wait for
			if err := way.do(l.mut); !isLost(err) {
				t.Errorf("%s: %v", way.name, err)
			}
		}
		wantFile(t, l.name, l.data)
		for _, m := range []*snapshot.Mmap{l.cold, l.hot} {
			link := l.name + ".link"
			if err := m.Link(link); err == nil && m.Method() == snapshot.Reflink {
				wantFile(t, link, l.data)
				must(t, os.Remove(link))
			} else if !isLost(err) {
				t.Errorf("%v: Link: %v", m.Method(), err)
			} else if _, err := os.Lstat(link); err == nil {
				t.Errorf("%v: Link failed and left a name", m.Method())
			}
		}
	})
}
