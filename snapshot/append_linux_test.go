package snapshot_test

import (
	"slices"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Appends of any size, from any end on, can be read at once, and are in what is committed.
//
//promise:snapshot.MmapMut.WriteGrow appended bytes can be read at once and are in the next commit
func TestAppends(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		name := join(dir, "f")
		const most = 128 << 10
		for _, n := range []int{1, 100, 1000, 4096, 5000, 32 << 10, 32<<10 + 1, 200_000} {
			for _, start := range []int{0, 10, 5000, most - 1, most} {
				data := noise(uint64(n), start+n*min(1000, 1+3*most/n))
				write(t, name, data[:start])
				m := openMut(t, name)
				for size := start + n; size <= len(data); size += n {
					appendTo(t, m, data[:size], n)
				}
				wantBytes(t, "ReadAt", byReadAt(t, m), data)
				must(t, m.CommitAndClose())
				wantFile(t, name, data)
			}
		}
	})
}

// WriteGrow makes the file longer by one system call, pwrite: an ftruncate that makes a file longer
// has XFS write all its dirty pages to the disk and wait.
//
//promise:snapshot.MmapMut.WriteGrow an append makes one system call, pwrite
func TestAppendIsOneCall(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		m := create(t, join(dir, "f"))
		for _, n := range []int{1, 100, 4096, 5000, 32 << 10, 200_000, 1} {
			off := m.Size()
			var made []string
			undo := systest.Intercept(t, func(call string) error {
				if !slices.Contains([]string{"mmap", "mremap", "mmap none", "munlock"}, call) {
					made = append(made, call)
				}
				return nil
			})
			_, err := m.WriteGrow(make([]byte, n), off)
			undo()
			must(t, err)
			if len(made) != 1 || made[0] != "pwrite" {
				t.Errorf("an append of %d bytes at %d makes the calls %q", n, off, made)
			}
		}
	})
}

// A commit brings to the disk what was appended before it makes others wait, and has what is
// appended meanwhile.
//
//promise:snapshot.MmapMut.Commit Commit contains appends made before its clone
//promise:snapshot.MmapMut.Commit Commit writes dirty pages back before other methods have to wait
func TestAppendDuringCommit(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		name, other := join(dir, "f"), join(dir, "other")
		write(t, name, nil)
		for _, c := range []struct {
			what    string
			inPlace bool
			commit  func(m *snapshot.MmapMut) error
			file    string
		}{
			{"Commit", false, (*snapshot.MmapMut).Commit, name},
			{"Commit, in place", reflinks(dir), (*snapshot.MmapMut).Commit, name},
			{"CommitTo", false, func(m *snapshot.MmapMut) error { return m.CommitTo(other) }, other},
		} {
			m, err := snapshot.Config{InPlace: c.inPlace}.OpenMut(t.Context(), name)
			must(t, err)
			closeLater(t, m)
			data := append(byReadAt(t, m), noise(1, 20_000)...)
			appendTo(t, m, data, 1000)
			during := 0
			undo := systest.Intercept(t, func(call string) error {
				if call == "writeback" {
					during++
					data = append(data, noise(2, 3000)...)
					appendTo(t, m, data, 1000)
				}
				return nil
			})
			must(t, c.commit(m))
			undo()
			if during != 1 {
				t.Errorf("%s: looked %d times", c.what, during)
			}
			wantFile(t, c.file, data)
		}
	})
}
