package snapshot_test

import (
	"bytes"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// After a Resize that moved, an old slice faults.
//
//promise:snapshot.MmapMut.Bytes a slice of Bytes faults after a Resize that moves the mapping
func TestStaleSliceOfResize(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 100000)
		write(t, name, data)
		m := openMut(t, name)
		stale := m.Bytes()
		must(t, m.Resize(10<<20))
		if b := m.Bytes(); &b[0] == &stale[0] {
			t.Fatal("did not move")
		}
		wantFault(t, func() { stale[0] = 1 })
		want := append(data, make([]byte, 10<<20-len(data))...)
		wantContents(t, m, want)
	})
}

// What a Resize to less cut off, and a View wrote before, is zeros when the size grows again, and is in
// no commit.
//
//promise:snapshot.MmapMut.Resize growth adds zeros, after stores of a View to that range too
//promise:snapshot.MmapMut.Size Size is the size that the last Resize set
func TestResizeZeros(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 100000)
		write(t, name, data)
		for _, size := range []int64{0, 1, 4096, 50000} {
			m := openMut(t, name)
			must(t, m.View(0, -1, func(b []byte) error {
				copy(b[size:], bytes.Repeat([]byte{'x'}, len(b)))
				return nil
			}))
			must(t, m.Resize(size))
			must(t, m.Commit())
			wantFile(t, name, data[:size])
			must(t, m.Resize(200000))
			want := append(bytes.Clone(data[:size]), make([]byte, 200000-size)...)
			wantContents(t, m, want)
			must(t, m.CommitAndClose())
			wantFile(t, name, want)
			write(t, name, data)
		}
	})
}

// Growing in small steps maps rarely.
//
//promise:snapshot.MmapMut.Resize growth in small steps moves the mapping only now and then
//promise:adapters.File.Write growth moves the mapping only now and then
func TestResizeIsAmortised(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		m := create(t, join(dir, "f"))
		calls := systest.CountCalls(t)
		for size := int64(4096); size <= 64<<20; size += 4096 {
			must(t, m.Resize(size))
		}
		if n := calls("mmap") + calls("mremap"); n > 20 {
			t.Errorf("mapped %d times", n)
		}
	})
}
