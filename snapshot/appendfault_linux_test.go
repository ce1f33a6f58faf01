package snapshot_test

import (
	"os"
	"runtime/debug"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// faulty returns 64 KiB of memory of which a page faults, that at good. A copy of it may begin with its
// end.
func faulty(t *testing.T, good int) []byte {
	t.Helper()
	p, err := syscall.Mmap(-1, 0, 64<<10, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	must(t, err)
	t.Cleanup(func() { must(t, syscall.Munmap(p)) })
	copy(p, noise(7, len(p)))
	must(t, syscall.Mprotect(p[good:good+os.Getpagesize()], syscall.PROT_NONE))
	return p
}

// wantFaults calls f as View does, and fails unless it faults.
func wantFaults(t *testing.T, f func()) {
	t.Helper()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() == nil {
			t.Error("no fault")
		}
	}()
	f()
}

// An append of mapped memory that cannot be read, as in a View of another snapshot on a failing
// disk, changes nothing, whatever is gathered; all goes on afterwards.
func TestAppendFaults(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		name := join(dir, "f")
		for _, good := range []int{0, 4096, 8192, 12288} {
			for _, gathered := range []int{0, 1000, 128<<10 - 8192, 128<<10 - 4096, 128 << 10} {
				write(t, name, nil)
				m := openMut(t, name)
				data := noise(1, gathered)
				appendTo(t, m, data, 4096)
				p := faulty(t, good)
				wantFaults(t, func() { _, _ = m.WriteGrow(p[:16<<10], m.Size()) })
				wantBytes(t, "ReadAt", byReadAt(t, m), data)
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
func TestWriteGrowFaults(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		m := create(t, join(dir, "f"))
		_, err := m.WriteGrow(noise(1, 64<<10), 0)
		must(t, err)
		must(t, m.Resize(0))
		p := faulty(t, 8192)
		wantFaults(t, func() { _, _ = m.WriteGrow(p[:16<<10], 100) })
		must(t, m.Resize(32<<10))
		wantBytes(t, "ReadAt", byReadAt(t, m), make([]byte, 32<<10))
	})
}
