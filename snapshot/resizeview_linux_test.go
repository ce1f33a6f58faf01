package snapshot_test

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// While a View runs, Resize to less fails with EBUSY and changes nothing: neither the size nor a
// byte, also not for an instant, for a reader by ReadAt or by the slice of the View. Resize to more
// works. When the View has returned, Resize to less works, and the bytes that it cuts off become
// zeros.
//
// XFS with blocks larger than a page is the hard case: a hole in the private file makes it drop
// whole blocks from memory, with the pages of the block that lie before the hole.
//
//promise:snapshot.MmapMut.Resize a smaller Resize under a View fails with EBUSY and changes nothing
func TestResizeUnderView(t *testing.T) {
	test := func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		r := rand.New(rand.NewPCG(1, 2))
		for range mounttest.Count(20, 500, 20_000) {
			size := 64<<10 + r.IntN(192<<10)
			resizeUnderView(t, join(dir, "f"), noise(1, size), 1+r.IntN(size-1))
			if t.Failed() {
				return
			}
		}
	}
	mounttest.Each(t, test)
	for _, kind := range mounttest.Kinds(mounttest.LargeBlocks) {
		t.Run("large", func(t *testing.T) { test(t, kind.Fresh(t, 0)) })
	}
}

// resizeUnderView makes a snapshot of data under a new name and tries, in a View, to cut it to
// least bytes.
func resizeUnderView(t *testing.T, name string, data []byte, least int) {
	t.Helper()
	m := create(t, name)
	_, err := m.WriteGrow(data, 0) // at once, so that XFS keeps it together in memory
	must(t, err)
	size := int64(len(data))
	must(t, m.View(0, -1, func(b []byte) error {
		stop := readUntilStopped(t, m, b[:least], data[:least])
		for range 4 {
			if err := m.Resize(int64(least)); !errors.Is(err, syscall.EBUSY) {
				t.Errorf("Resize from %d to %d in a View: %v, want EBUSY", size, least, err)
			}
			if got := m.Size(); got != size {
				t.Errorf("the size is %d after Resize failed, want %d", got, size)
			}
			must(t, m.Resize(size)) // so that a Resize to less that worked cannot stay hidden
		}
		stop()
		wantBytes(t, "View", b, data)
		wantBytes(t, "ReadAt", byReadAt(t, m), data)
		more := size + 100_000
		must(t, m.Resize(more))
		if err := m.Resize(size); !errors.Is(err, syscall.EBUSY) {
			t.Errorf("Resize from %d to %d in a View: %v, want EBUSY", more, size, err)
		}
		wantBytes(t, "View of a snapshot that grew", b, data)
		return nil
	}))
	must(t, m.Resize(int64(least)))
	must(t, m.Resize(size))
	want := make([]byte, size)
	copy(want, data[:least])
	wantBytes(t, "after the View", byReadAt(t, m), want)
	must(t, m.Close())
}

// readUntilStopped compares the beginning of m, by ReadAt and in b, which is a part of it, with
// want, on another goroutine, until the function that it returns is called. It returns when the
// first comparison is done.
func readUntilStopped(t *testing.T, m *snapshot.MmapMut, b, want []byte) (stop func()) {
	var reader sync.WaitGroup
	reading, end := make(chan struct{}), make(chan struct{})
	reader.Go(func() {
		p := make([]byte, len(want))
		for first := true; ; first = false {
			_, err := m.ReadAt(p, 0)
			if err != nil {
				t.Error("ReadAt beside Resize:", err)
			}
			wantBytes(t, "ReadAt beside Resize", p, want)
			copy(p, b)
			wantBytes(t, "View beside Resize", p, want)
			if first {
				close(reading)
			}
			select {
			case <-end:
				return
			default:
				runtime.Gosched()
			}
		}
	})
	<-reading
	return func() {
		close(end)
		reader.Wait()
	}
}
