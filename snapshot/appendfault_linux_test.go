package snapshot_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// An append of mapped memory that cannot be read, as in a View of another snapshot on a failing
// disk, is EFAULT and ends behind what was written; appends go on afterwards, and what lies behind the
// end never shows.
//
//promise:snapshot.MmapMut.WriteGrow an append of memory that faults is EFAULT and ends behind what was written
func TestAppendFaults(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		name := join(dir, "f")
		for _, good := range []int{0, 4096, 8192, 12288} {
			for _, before := range []int{0, 1000, 4096, 128 << 10} {
				write(t, name, nil)
				m := openMut(t, name)
				data := noise(1, before)
				appendTo(t, m, data, 4096)
				p := faulty(t, good)
				n, err := m.WriteGrow(p[:16<<10], m.Size())
				if !errors.Is(err, syscall.EFAULT) || n > good {
					t.Errorf("%d, %v; the fault is at %d", n, err, good)
				}
				data = append(data, p[:n]...)
				wantBytes(t, "ReadAt", byReadAt(t, m), data)
				must(t, m.Resize(int64(len(data)+9000)))
				wantBytes(t, "after Resize", byReadAt(t, m), append(data[:len(data):len(data)], make([]byte, 9000)...))
				must(t, m.Resize(int64(len(data))))
				data = append(data, noise(2, 9000)...)
				appendTo(t, m, data, 3000)
				wantContents(t, m, data)
				must(t, m.CommitAndClose())
				wantFile(t, name, data)
			}
		}
	})
}

// What a WriteGrow stored behind the end before it found that its source faults does not show when
// the snapshot grows.
//
//promise:snapshot.MmapMut.WriteGrow bytes of a WriteGrow whose source faults do not show later
func TestWriteGrowFaults(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		m := create(t, join(dir, "f"))
		_, err := m.WriteGrow(noise(1, 64<<10), 0)
		must(t, err)
		must(t, m.Resize(0))
		p := faulty(t, 8192)
		n, err := m.WriteGrow(p[:16<<10], 100)
		if !errors.Is(err, syscall.EFAULT) {
			t.Error(n, err)
		}
		want := make([]byte, 32<<10)
		copy(want[100:], p[:n])
		must(t, m.Resize(32<<10))
		wantBytes(t, "ReadAt", byReadAt(t, m), want)
	})
}
