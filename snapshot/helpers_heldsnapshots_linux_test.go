package snapshot_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// limitSize is the size of the file that is opened, in bytes.
const limitSize = 300_000

// memoryLimit is how large a file is at most whose copy can lie in memory, in bytes.
const memoryLimit = 64 << 20

// A heldSnapshot is a snapshot and the noise that it begins with.
type heldSnapshot struct {
	reader
	seed uint64
	n    int
}

// wantRead checks the contents by ReadAt.
func (h heldSnapshot) wantRead(t *testing.T, what string) {
	t.Helper()
	p := make([]byte, h.n)
	if _, err := h.ReadAt(p, 0); err != nil {
		t.Fatalf("%s: %v: %v", what, h.Method(), err)
	}
	wantBytes(t, what+": ReadAt", p, noise(h.seed, h.n))
}

var errOtherBytes = errors.New("other bytes by View")

// view checks the contents by View, which maps them.
func (h heldSnapshot) view() error {
	return h.View(0, int64(h.n), func(b []byte) error {
		if !bytes.Equal(b, noise(h.seed, h.n)) {
			return errOtherBytes
		}
		return nil
	})
}

// occupy maps the i-th snapshot: by view, or without lending the memory, as the two are given back
// in different ways.
func (h heldSnapshot) occupy(i int) error {
	if i%4 == 0 || i%4 == 3 { // readers and writers
		return h.view()
	}
	return h.Prefetch(0, int64(h.n))
}

// closeHeld closes snapshots, and forgets them.
func closeHeld(held *[]heldSnapshot) (err error) {
	for _, h := range *held {
		err = errors.Join(err, h.Close())
	}
	*held = nil
	return err
}

// fileContents are those of the file that is opened.
func fileContents() []byte { return noise(1, limitSize) }

// writeSparse writes a file that ends with a hole. Of its size in bytes, n are data.
func writeSparse(t *testing.T, name string, n int, size int64) {
	t.Helper()
	write(t, name, noise(1, n))
	must(t, os.Truncate(name, size))
}

// openAlternately opens the file to read it, or to change all of it.
func openAlternately(dir string, i int) (reader, error) {
	if i%2 == 0 {
		return snapshot.Open(join(dir, "f"))
	}
	return openToStore(dir, i, limitSize)
}

// openToStore opens the file, overwrites it and makes it size bytes large.
func openToStore(dir string, i int, size int64) (*snapshot.MmapMut, error) {
	m, err := snapshot.OpenMut(join(dir, "f"))
	if err != nil {
		return nil, err
	}
	_, err = m.WriteAt(noise(uint64(i), limitSize), 0)
	if err == nil {
		err = m.Resize(size)
	}
	if err != nil {
		return nil, closeAfter(m, err)
	}
	return m, nil
}

// openWithHoles is openAlternately, and what is changed ends with a hole of 16 MiB.
func openWithHoles(dir string, i int) (reader, error) {
	if i%2 == 0 {
		return snapshot.Open(join(dir, "f"))
	}
	return openToStore(dir, i, limitSize+16<<20)
}

// closeAfter closes m, which may be nil, and returns err.
func closeAfter(m *snapshot.MmapMut, err error) error {
	if m == nil {
		return err
	}
	return errors.Join(err, m.Close())
}

// changeable returns one of the snapshots that can be changed.
func changeable(held []heldSnapshot) *snapshot.MmapMut {
	for _, h := range held {
		if m, ok := h.reader.(*snapshot.MmapMut); ok {
			return m
		}
	}
	panic("there is none")
}

// commitThenRestore changes the file and back again.
func commitThenRestore(t *testing.T, dir string) {
	t.Helper()
	for _, content := range [][]byte{noise(9, limitSize), fileContents()} {
		m, err := snapshot.OpenMut(join(dir, "f"))
		must(t, err)
		_, err = m.WriteAt(content, 0)
		must(t, err)
		must(t, m.CommitAndClose())
		wantFile(t, join(dir, "f"), content)
	}
}
