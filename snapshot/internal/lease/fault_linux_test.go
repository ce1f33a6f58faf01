package lease

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Each call of the kernel fails once, from the k-th on for good, or alone. No read has other bytes
// than those of Open, no writer is held up, and nothing is left.
func TestEachCallFails(t *testing.T) {
	for what, lasts := range map[string]bool{"once": false, "from then on": true} {
		t.Run(what, func(t *testing.T) {
			mounttest.Leaks(t)
			name := newFile(t)
			for k := int64(1); ; k++ {
				must(t, os.WriteFile(name, filled('A'), 0o644))
				var calls atomic.Int64
				undo := systest.Intercept(t, func(call string) error {
					if call == "munmap" || call == "mmap none" { // of the region's own clean-up
						return nil
					}
					if n := calls.Add(1); n == k || lasts && n > k {
						return syscall.EIO
					}
					return nil
				})
				s, err := tryOpen(context.Background(), t, name, inMemory)
				wantRead := func() {
					b, err := read(s)
					if err == nil && !bytes.Equal(b, filled('A')) {
						t.Errorf("call %d fails: a read has %q", k, b[:8])
					}
				}
				if err == nil {
					wantRead()
					must(t, await(t, overwrite(name, 'B')))
					wantRead()
					_ = s.Close()
				} else {
					must(t, await(t, overwrite(name, 'B')))
				}
				undo()
				if err == nil && calls.Load() < k {
					break
				}
			}
		})
	}
}

// Snapshots are opened, read and closed beside processes that write: each shows one version.
func TestOpenBesideWriters(t *testing.T) {
	mounttest.Leaks(t)
	name := newFile(t)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for b := byte('a'); ; b = 'a' + (b-'a'+1)%26 {
			select {
			case <-stop:
				return
			case err := <-overwrite(name, b):
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Millisecond) // else there is a writer always
			}
		}
	})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for opened := 0; opened < mounttest.Count(50, 500, 5000); {
				s, err := tryOpen(context.Background(), t, name, inMemory)
				if err != nil {
					if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, errKind) {
						t.Error(err)
						return
					}
					runtime.Gosched() // a writer has the file open
					continue
				}
				opened++
				for range 3 {
					b, err := read(s)
					if err == nil && bytes.Count(b, b[:1]) != size {
						t.Error("two versions")
					} else if err != nil && !errors.Is(err, privatefile.ErrUnstable) {
						t.Error(err)
					}
				}
				must(t, s.Close())
			}
		})
	}
	readers.Wait()
	close(stop)
	writer.Wait()
}
