package snapshot_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
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
				undo := snapshot.Intercept(t, func(call string) error {
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
		name := join(dir, "sparse")
		f, err := os.Create(name)
		must(t, err)
		defer f.Close()
		must(t, f.Truncate(5<<30))
		for _, off := range []int64{2<<30 - 5, 4<<30 - 5, 5<<30 - 10} {
			_, err := f.WriteAt([]byte("0123456789"), off)
			must(t, err)
		}
		snapshot.Intercept(t, func(call string) error {
			if call == "copy_file_range" {
				return syscall.ENOSYS
			}
			return nil
		})
		m := open(t, name)
		for _, off := range []int64{2<<30 - 5, 4<<30 - 5, 5<<30 - 10} {
			got := make([]byte, 10)
			_, err := m.ReadAt(got, off)
			must(t, err)
			wantBytes(t, "far out", got, []byte("0123456789"))
		}
	})
}

// A copy that is no longer wanted ends at once, however large the file, and nothing is left of
// it.
func TestCancelIsQuick(t *testing.T) {
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		n := mounttest.Count(256, 1<<10, 3<<10)
		writeLarge(t, name, n)
		must(t, syncFile(name))
		used := usedBytes(t, dir)
		quickest := time.Hour
		for try := 0; quickest > 200*time.Millisecond && try < 5; try++ {
			ctx, cancel := context.WithCancel(context.Background())
			var begin time.Time
			enough := false
			m, err := snapshot.Config{Progress: func(done, total int64) {
				if done > total*3/4 && !enough {
					enough = true
					time.AfterFunc(time.Millisecond, func() { begin = time.Now(); cancel() }) // in the middle of a chunk
				}
			}}.Open(ctx, name)
			end := time.Now()
			cancel()
			if err == nil { // it was quicker than that
				must(t, m.Close())
				continue
			}
			wantError(t, err, context.Canceled, "open "+name+": context canceled")
			quickest = min(quickest, end.Sub(begin))
		}
		t.Logf("%d MiB: given up within %v", n, quickest)
		if quickest > 200*time.Millisecond {
			t.Errorf("takes %v", quickest)
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

// Copying is as fast as cp.
func TestCopySpeed(t *testing.T) {
	if mounttest.Count(0, 1, 1) == 0 {
		t.Skip("half a gigabyte, copied forty times: MOUNTTEST_COUNT=ci")
	}
	cp, err := exec.LookPath("cp")
	if err != nil {
		t.Skip(err)
	}
	mounttest.EachOf(t, mounttest.Disk|mounttest.NoReflinks, func(t *testing.T, dir string) {
		name := join(dir, "f")
		writeLarge(t, name, 512)
		must(t, syncFile(name))
		best := 0.0
		for try := 0; best < 0.9 && try < 4; try++ {
			var theirs, ours []time.Duration
			for range 7 {
				begin := time.Now()
				if out, err := exec.Command(cp, "--reflink=never", name, name+"2").CombinedOutput(); err != nil {
					t.Skipf("%v: %s", err, out) // not the one from GNU
				}
				theirs = append(theirs, time.Since(begin))
				must(t, os.Remove(name+"2"))
				begin = time.Now()
				m := open(t, name)
				ours = append(ours, time.Since(begin))
				must(t, m.Close())
			}
			slices.Sort(theirs)
			slices.Sort(ours)
			ratio := float64(theirs[3]) / float64(ours[3])
			t.Logf("cp %v, Open %v: %.2fx", theirs[3], ours[3], ratio)
			best = max(best, ratio)
		}
		if best < 0.9 {
			t.Errorf("at most %.2f times as fast as cp", best)
		}
	})
}
