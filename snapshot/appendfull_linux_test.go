package snapshot_test

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A full disk is an error of whatever would write what is gathered. That has done nothing then, and
// nothing is lost: once there is room, all goes on.
func TestGatheredFullDisk(t *testing.T) {
	onSmallDisks(t, func(t *testing.T, dir string) {
		name, filler, other := join(dir, "f"), join(dir, "filler"), join(dir, "other")
		write(t, name, nil)
		data, more := noise(1, 100_000), noise(2, 40<<10)
		grow := func(n int, at int64) func(m *snapshot.MmapMut) error {
			return func(m *snapshot.MmapMut) error {
				_, err := m.WriteGrow(more[:n], int64(len(data))+at)
				return err
			}
		}
		look := func(m *snapshot.MmapMut) error { return m.View(0, -1, func([]byte) error { return nil }) }
		writes := map[string]func(m *snapshot.MmapMut) error{
			"WriteGrow":       grow(32<<10, 0),
			"WriteGrow, much": grow(40<<10, 0),
			"WriteGrow, far":  grow(1, 1),
			"Resize":          func(m *snapshot.MmapMut) error { return m.Resize(int64(len(data)) + 1) },
			"View":            look,
			"Bytes": func(m *snapshot.MmapMut) error {
				if m.Bytes() == nil {
					return look(m)
				}
				return nil
			},
			"Prefetch":       func(m *snapshot.MmapMut) error { return m.Prefetch(0, -1) },
			"Commit":         (*snapshot.MmapMut).Commit,
			"CommitTo":       func(m *snapshot.MmapMut) error { return m.CommitTo(other) },
			"Link":           func(m *snapshot.MmapMut) error { return m.Link(other) },
			"CommitAndClose": (*snapshot.MmapMut).CommitAndClose,
		}
		for _, inPlace := range []bool{false, reflinks(dir)} {
			open := func() *snapshot.MmapMut {
				m, err := snapshot.Config{InPlace: inPlace}.OpenMut(t.Context(), name)
				must(t, err)
				closeLater(t, m)
				appendTo(t, m, data, 5000)
				return m
			}
			m := open()
			fill(t, filler)
			for what, do := range writes {
				if err := do(m); !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("%s, in place %v: %v", what, inPlace, err)
				}
				wantGathered(t, m, len(data))
				wantBytes(t, what, byReadAt(t, m), data)
				wantFile(t, name, nil)
			}
			must(t, os.Remove(filler))
			for what, do := range writes {
				m := open()
				must(t, do(m))
				if what != "CommitAndClose" {
					must(t, m.Resize(int64(len(data))))
					wantContents(t, m, data)
					must(t, m.CommitAndClose())
				}
				wantFile(t, name, data)
				_ = os.Remove(other)
				write(t, name, nil)
			}
			all := append(slices.Clip(data), more...)
			appendTo(t, m, all, 5000)
			must(t, m.CommitAndClose())
			wantFile(t, name, all)
			write(t, name, nil)
		}
	})
}

// byReadAt returns all, read by ReadAt alone.
func byReadAt(t *testing.T, m *snapshot.MmapMut) []byte {
	t.Helper()
	p := make([]byte, m.Size())
	_, err := m.ReadAt(p, 0)
	must(t, err)
	return p
}

// A disk can be filled by appends to the last page, and what was written is there. Then there is
// room again, and they go on.
func TestAppendUntilFull(t *testing.T) {
	onSmallDisks(t, func(t *testing.T, dir string) {
		m := create(t, join(dir, "f"))
		write(t, join(dir, "room"), noise(2, 2<<20+20<<10))
		fill(t, join(dir, "filler"))
		must(t, os.Remove(join(dir, "room")))
		data := noise(1, 4<<20)
		size, err := 0, error(nil)
		for err == nil {
			var n int
			n, err = m.WriteGrow(data[size:size+4096], int64(size))
			size += n
		}
		if !errors.Is(err, syscall.ENOSPC) || m.Size() != int64(size) || size < 1<<20 {
			t.Fatalf("%v; %d bytes were written, the size is %d", err, size, m.Size())
		}
		wantBytes(t, "ReadAt", byReadAt(t, m), data[:size])

		// What found no space is gathered still. Cut off, it does not show later, though there was
		// space for a part.
		must(t, os.Remove(join(dir, "filler")))
		base := size - snapshot.Gathered(m)
		must(t, m.Resize(int64(base+1)))
		must(t, m.Resize(int64(size)))
		wantBytes(t, "ReadAt", byReadAt(t, m), append(data[:base+1:base+1], make([]byte, size-base-1)...))

		must(t, m.Resize(int64(size/2)))
		appendTo(t, m, data[:size/2+200_000], 4096)
		must(t, m.CommitAndClose())
		wantFile(t, join(dir, "f"), data[:size/2+200_000])
	})
}

// So is a limit of the size of files.
func TestGatheredFileLimit(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		name := join(dir, "f")
		data := noise(1, 100_000)
		m := create(t, name)
		appendTo(t, m, data, 5000)
		undo := limitFileSize(t, 50_000)
		for _, do := range []func() error{m.Commit, m.CommitAndClose, func() error { return m.Prefetch(0, -1) }} {
			if err := do(); !errors.Is(err, syscall.EFBIG) {
				t.Error(err)
			}
			wantBytes(t, "ReadAt", byReadAt(t, m), data)
		}
		undo()
		must(t, m.CommitAndClose())
		wantFile(t, name, data)
	})
}

// A View of bytes that are not there is fs.ErrInvalid, which names the size, though what was appended
// cannot be written.
func TestGatheredOutOfRange(t *testing.T) {
	onSmallDisks(t, func(t *testing.T, dir string) {
		m := create(t, join(dir, "f"))
		appendTo(t, m, noise(1, 100_000), 5000)
		fill(t, join(dir, "filler"))
		for _, x := range [][2]int64{{0, 200_000}, {-1, 1}, {100_001, -1}, {100_001, 0}} {
			err := m.View(x[0], x[1], func([]byte) error { t.Error("called"); return nil })
			if !errors.Is(err, fs.ErrInvalid) || !strings.Contains(err.Error(), "the size of 100000") {
				t.Error(err)
			}
		}
		wantGathered(t, m, 100_000)
	})
}
