package adapters_test

import (
	"bytes"
	"errors"
	"io/fs"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// leaseBreakTime is less than the kernel waits for a lease if it is asked to, 45 s.
const leaseBreakTime = 30 * time.Second

//promise:adapters.FS.Open a write lease that its holder gives up when asked is awaited
func TestFSAwaitsLease(t *testing.T) {
	mounttest.EachOf(t, mounttest.Leases, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		content := random(100)
		name := put(t, dir, "f", content)
		fsys := newFS(t, dir, snapshot.Config{})
		asked := mounttest.HoldLease(t, name, func(giveUp, _ func()) {
			time.Sleep(300 * time.Millisecond)
			giveUp()
		})
		if got := contents(t, fsys, "f"); !bytes.Equal(got, content) || asked() != 1 {
			t.Errorf("%d bytes; the lease was asked for %d times", len(got), asked())
		}
	})
}

// A lease that its holder keeps, or takes again each time, is an error after two seconds. Looking
// at the file needs no lease, and the FS serves other files meanwhile.
//
//promise:adapters.FS.Open after two seconds a write lease is an error that names it
//promise:adapters.FS.Stat a write lease is neither awaited nor asked for
func TestFSLeaseThatStays(t *testing.T) {
	for what, answer := range map[string]func(giveUp, retake func()){
		"kept":    nil,
		"retaken": func(_, retake func()) { retake() },
	} {
		t.Run(what, func(t *testing.T) {
			mounttest.EachOf(t, mounttest.Leases|mounttest.Memory, func(t *testing.T, dir string) {
				mounttest.Leaks(t)
				name, other := put(t, dir, "f", random(100)), random(100)
				put(t, dir, "other", other)
				fsys := newFS(t, dir, snapshot.Config{})
				asked := mounttest.HoldLease(t, name, answer)
				if fi, err := fs.Stat(fsys, "f"); err != nil || fi.Size() != 100 || asked() != 0 {
					t.Errorf("Stat: %v, %v; the lease was asked for %d times", fi, err, asked())
				}
				opened := make(chan error)
				begin := time.Now()
				go func() {
					var f fs.File
					var err error
					for try := 0; try < 5 && err == nil; try++ { // retake has an instant without
						if f, err = fsys.Open("f"); err == nil {
							err = f.Close()
						}
					}
					opened <- err
				}()
				waitFor(t, func() bool { return asked() > 0 })
				if got := contents(t, fsys, "other"); !bytes.Equal(got, other) {
					t.Errorf("another file: %d bytes", len(got))
				}
				err := <-opened
				const text = "open f: another process holds a lease on the file: " +
					"openat: resource temporarily unavailable"
				if !errors.Is(err, syscall.EAGAIN) || err.Error() != text {
					t.Errorf("%v, want %s", err, text)
				}
				if took := time.Since(begin); took > leaseBreakTime {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
