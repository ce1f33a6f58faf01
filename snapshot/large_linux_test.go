package snapshot_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

const mib = 1 << 20

// writeLarge makes a file of n MiB, each of which is different, and without holes.
func writeLarge(t *testing.T, name string, n int) {
	t.Helper()
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	block := noise(1, mib)
	for i := range n {
		binary.LittleEndian.PutUint32(block, uint32(i))
		_, err := f.Write(block)
		must(t, err)
	}
}

func wantLarge(t *testing.T, m *snapshot.Mmap, n int) {
	t.Helper()
	if m.Size() != int64(n)*mib {
		t.Fatalf("%d bytes", m.Size())
	}
	block := noise(1, mib)
	for i := range n {
		binary.LittleEndian.PutUint32(block, uint32(i))
		must(t, m.View(int64(i)*mib, mib, func(b []byte) error {
			if !bytes.Equal(b, block) {
				t.Errorf("MiB %d is another", i)
			}
			return nil
		}))
	}
}

// Files beyond 2 and 4 GiB are copied whole, in the kernel and by hand.
//
//promise:snapshot.Config.Open files larger than 2 GiB and 4 GiB are copied whole
func TestLargeCopies(t *testing.T) {
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		sizes := []int{[...]int{10, 2100, 3 << 10}[mounttest.Count(0, 1, 2)], [...]int{20, 20, 6 << 10}[mounttest.Count(0, 1, 2)]}
		for _, n := range sizes {
			if mounttest.Has(dir, mounttest.Memory) && n > 3<<10 {
				n = n * 3 / 4 // it is memory
			}
			name := join(dir, "f")
			writeLarge(t, name, n)
			for _, errno := range []syscall.Errno{0, syscall.ENOSYS} {
				undo := systest.Intercept(t, func(call string) error {
					if call == "copy_file_range" && errno != 0 {
						return errno
					}
					return nil
				})
				m := open(t, name)
				undo()
				wantLarge(t, m, n)
				must(t, m.Close())
			}
			must(t, os.Remove(name))
		}
		// Far out in a file that is one hole for the most part.
		const size = 5 << 30
		needAddresses(t, size)
		name := join(dir, "sparse")
		f, err := os.Create(name)
		must(t, err)
		defer f.Close()
		must(t, f.Truncate(size))
		for _, off := range []int64{2<<30 - 5, 4<<30 - 5, size - 10} {
			_, err := f.WriteAt([]byte("0123456789"), off)
			must(t, err)
		}
		systest.Intercept(t, func(call string) error {
			if call == "copy_file_range" {
				return syscall.ENOSYS
			}
			return nil
		})
		m := open(t, name)
		for _, off := range []int64{2<<30 - 5, 4<<30 - 5, size - 10} {
			got := make([]byte, 10)
			_, err := m.ReadAt(got, off)
			must(t, err)
			wantBytes(t, "far out", got, []byte("0123456789"))
		}
	})
}

// If the context ends while a chunk is copied, no other chunk is, however large the file, and
// nothing is left of the copy.
//
//promise:snapshot.Config.Open if the context ends, the copy ends before its next chunk
func TestCancelStopsTheCopy(t *testing.T) {
	mounttest.EachOf(t, copying|mounttest.Private, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		n := mounttest.Count(256, 1<<10, 3<<10)
		writeLarge(t, name, n)
		must(t, syncFile(name))
		used := usedBytes(t, dir)
		for _, call := range []string{"copy_file_range", "pread"} {
			ctx, cancel := context.WithCancel(context.Background())
			calls := 0
			undo := systest.Intercept(t, func(made string) error {
				switch {
				case made == "copy_file_range" && call == "pread":
					return syscall.ENOSYS
				case made != call:
					return nil
				}
				if calls++; calls == 5 { // on the goroutine that copies, before the call
					cancel()
				}
				return nil
			})
			_, err := snapshot.Config{}.Open(ctx, name)
			undo()
			wantError(t, err, context.Canceled, "open "+name+": context canceled")
			if calls != 5 {
				t.Errorf("%s: %d more chunks were copied", call, calls-5)
			}
		}
		wantNames(t, dir, "f")
		for try := 0; ; try++ {
			must(t, syncFile(name))
			left := usedBytes(t, dir) - used
			if left < mib {
				break
			}
			if try == 1000 {
				t.Fatalf("%d bytes are left", left)
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}

// The kernel copies, each byte once, in a few chunks between which there are few other calls.
func TestCopyCalls(t *testing.T) {
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		writeLarge(t, name, 64)
		made := map[string]int{}
		undo := systest.Intercept(t, func(call string) error { made[call]++; return nil })
		var m *snapshot.Mmap
		var err error
		synctest.Test(t, func(*testing.T) { // whose clock stands still: all chunks are quick
			m, err = snapshot.Open(name)
		})
		undo()
		must(t, err)
		wantLarge(t, m, 64)
		must(t, m.Close())
		const chunks = 9 // the sizes of eight, 256 KiB and doubled each time, make 63.75 MiB
		// One pwrite of no bytes tells whether the place can hold the copy.
		if made["copy_file_range"] != chunks || made["pwrite"] > 1 || made["pread"] > 1 {
			t.Errorf("%d chunks by the calls %v", chunks, made)
		}
		const few = 30 // that opening makes besides
		all := 0
		for _, n := range made {
			all += n
		}
		if all > 3*chunks+few {
			t.Errorf("%d calls for %d chunks: %v", all, chunks, made)
		}
	})
}
