package snapshot_test

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/publish"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// leaseBreakTime is less than the kernel waits for a lease if it is asked to, 45 s.
const leaseBreakTime = 30 * time.Second

// A way to open a file for a snapshot.
type opening struct {
	name string
	open func(ctx context.Context, name string) (io.Closer, error)
}

var openings = []opening{
	{"Open", func(ctx context.Context, name string) (io.Closer, error) {
		return snapshot.Config{}.Open(ctx, name)
	}},
	{"OpenMut", func(ctx context.Context, name string) (io.Closer, error) {
		return snapshot.Config{}.OpenMut(ctx, name)
	}},
}

// eachOpening runs f on filesystems with the property for each way to open a file, through its
// descriptor and, as without /proc, by its name. calls counts the calls that open the file.
func eachOpening(t *testing.T, p mounttest.Property,
	f func(t *testing.T, name string, o opening, calls func() int)) {
	mounttest.EachOf(t, p, func(t *testing.T, dir string) {
		for _, proc := range []bool{true, false} {
			for _, o := range openings {
				o.name += map[bool]string{true: "", false: "ByName"}[proc]
				t.Run(o.name, func(t *testing.T) {
					mounttest.Leaks(t)
					name := join(dir, o.name)
					write(t, name, []byte("contents"))
					calls := 0
					systest.Intercept(t, func(call string) error {
						switch {
						case call == "reopen" && !proc:
							return errors.ErrUnsupported
						case call == "reopen" || call == "openread":
							calls++
						}
						return nil
					})
					f(t, name, o, func() int { return calls })
				})
			}
		}
	})
}

// A lease of another process that excludes readers is awaited: its holder gives it up when the
// kernel asks for it.
//
//promise:snapshot.Config.Open a write lease that its holder gives up when asked is awaited
//promise:snapshot.Config.OpenMut a write lease that its holder gives up when asked is awaited
func TestOpenAwaitsLease(t *testing.T) {
	eachOpening(t, mounttest.Leases, func(t *testing.T, name string, o opening, calls func() int) {
		asked := mounttest.HoldLease(t, name, func(giveUp, _ func()) {
			time.Sleep(300 * time.Millisecond)
			giveUp()
		})
		m, err := o.open(context.Background(), name)
		must(t, err)
		must(t, m.Close())
		if asked() != 1 || calls() < 3 {
			t.Errorf("asked for %d times, %d calls", asked(), calls())
		}
	})
}

// A context that ends ends the wait for a lease.
//
//promise:snapshot.Config.Open the context ends the wait for a lease
//promise:snapshot.Config.OpenMut the context ends the wait for a lease
func TestContextEndsWaitForLease(t *testing.T) {
	eachOpening(t, mounttest.Leases, func(t *testing.T, name string, o opening, calls func() int) {
		mounttest.HoldLease(t, name, nil)
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		begin := time.Now()
		_, err := o.open(ctx, name)
		wantError(t, err, context.DeadlineExceeded, "open "+name+": context deadline exceeded")
		// Within 200 ms, fewer pauses than for two seconds are possible.
		if took := time.Since(begin); calls() < 2 || calls() > 20 || took > leaseBreakTime {
			t.Errorf("%d calls, %v", calls(), took)
		}
	})
}

// After two seconds a lease that stays is an error, also if its holder gives it up each time when
// it is asked for it and takes it again.
//
//promise:snapshot.Config.Open after two seconds a write lease is an error that names it
//promise:snapshot.Config.OpenMut after two seconds a write lease is an error that names it
func TestLeaseThatStays(t *testing.T) {
	for what, answer := range map[string]func(giveUp, retake func()){
		"kept":    nil,
		"retaken": func(_, retake func()) { retake() },
	} {
		t.Run(what, func(t *testing.T) {
			const p = mounttest.Leases | mounttest.Memory
			eachOpening(t, p, func(t *testing.T, name string, o opening, calls func() int) {
				if o.name == "OpenMut" || o.name == "OpenByName" {
					return // each takes two seconds
				}
				asked := mounttest.HoldLease(t, name, answer)
				for try := 0; ; try++ {
					before, begin := calls(), time.Now()
					m, err := o.open(context.Background(), name)
					if err == nil && answer != nil && try < 5 {
						must(t, m.Close()) // retake has an instant without the lease
						continue
					}
					took, n := time.Since(begin), calls()-before
					wantError(t, err, syscall.EAGAIN, "open "+name+": another process holds a "+
						"lease on the file: openat: resource temporarily unavailable")
					if n < 5 || n > 60 || took > leaseBreakTime {
						t.Errorf("%d calls, %v", n, took)
					}
					break
				}
				if n := asked(); answer == nil && n != 1 || answer != nil && n < 5 {
					t.Errorf("the lease was asked for %d times", n)
				}
			})
		})
	}
}

// A leftover with a lease of another process is in use: a commit neither waits for it, under the
// lock on the directory, nor removes it. When the lease has ended, a commit removes it.
//
//promise:snapshot.MmapMut.Commit a temporary name under a lease is not waited for nor removed
func TestLeasedLeftover(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		if !mounttest.Has(dir, mounttest.Leases) {
			t.Skip("leases are not known to work")
		}
		name, temporary := join(dir, "f"), publish.TempName("f")
		write(t, name, noise(1, 100))
		write(t, join(dir, temporary), []byte("planted"))
		t.Run("leased", func(t *testing.T) {
			mounttest.HoldLease(t, join(dir, temporary), nil)
			m := openMut(t, name)
			must(t, m.Resize(10))
			calls := systest.CountCalls(t)
			begin := time.Now()
			must(t, commit(m))
			if n, took := calls("reopen"), time.Since(begin); n > 10 || took > leaseBreakTime {
				t.Errorf("%d calls of reopen, %v", n, took)
			}
			wantFile(t, name, noise(1, 100)[:10])
			wantNames(t, dir, temporary, "f")
		})
		got, err := os.ReadFile(join(dir, temporary))
		if string(got) != "planted" || err != nil {
			t.Errorf("the leftover holds %q, %v", got, err)
		}
		must(t, commit(openMut(t, name)))
		wantNames(t, dir, "f")
	})
}

// A file that OpenMut refuses is opened for a hint only: a lease of another process is not awaited,
// and the error is the refusal.
//
//promise:snapshot.Config.OpenMut a refusal waits for no lease
func TestRefusalAwaitsNoLease(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	mounttest.EachOf(t, mounttest.Leases|mounttest.Memory, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		mounttest.HoldLease(t, name, nil)
		must(t, unix.Mount(name, name, "", unix.MS_BIND, ""))
		defer func() { must(t, unix.Unmount(name, unix.MNT_DETACH)) }()
		calls := systest.CountCalls(t)
		_, err := snapshot.OpenMut(name)
		if !errors.Is(err, syscall.EBUSY) || calls("reopen") > 1 {
			t.Errorf("%d calls: %v", calls("reopen"), err)
		}
	})
}
