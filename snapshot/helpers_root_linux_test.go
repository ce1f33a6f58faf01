package snapshot_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// withAndWithoutOpenat2 runs f twice, the second time with an openat2 that fails as on a kernel
// that lacks it. Each run gets a new directory in dir.
func withAndWithoutOpenat2(t *testing.T, dir string, f func(t *testing.T, dir string)) {
	for _, way := range []string{"openat2", "byhand"} {
		t.Run(way, func(t *testing.T) {
			mounttest.Leaks(t)
			dir := join(dir, way)
			must(t, os.Mkdir(dir, 0o755))
			if way == "byhand" {
				systest.Intercept(t, func(call string) error {
					if call == "openat2" {
						return os.NewSyscallError(call, syscall.ENOSYS)
					}
					return nil
				})
			}
			f(t, dir)
		})
	}
}

func openRoot(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	must(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// A rootCall is a call that looks name up below a root. m is a snapshot with that root, of the file
// base. The call leaves no snapshot behind.
type rootCall struct {
	name string
	do   func(c snapshot.Config, m *snapshot.MmapMut, name string) error
}

var rootCalls = []rootCall{
	{"Open", func(c snapshot.Config, _ *snapshot.MmapMut, name string) error {
		m, err := c.Open(context.Background(), name)
		if err == nil {
			err = m.Close()
		}
		return err
	}},
	{"OpenMut", func(c snapshot.Config, _ *snapshot.MmapMut, name string) error {
		m, err := c.OpenMut(context.Background(), name)
		if err == nil {
			err = errors.Join(m.Commit(), m.Close())
		}
		return err
	}},
	{"Create", func(c snapshot.Config, _ *snapshot.MmapMut, name string) error {
		m, err := c.Create(context.Background(), name)
		if err == nil {
			err = errors.Join(m.Commit(), m.Close())
		}
		return err
	}},
	{"CommitTo", func(_ snapshot.Config, m *snapshot.MmapMut, name string) error {
		return m.CommitTo(name)
	}},
	{"Link", func(_ snapshot.Config, m *snapshot.MmapMut, name string) error {
		return m.Link(name)
	}},
}

// exchange exchanges a and b, some ten thousand times in a second, until the test ends, and counts.
func exchange(t *testing.T, a, b string) (count *atomic.Int64) {
	t.Helper()
	swap := func() error {
		return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	}
	if err := swap(); errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) {
		t.Skipf("this kernel or filesystem does not exchange names: %v", err)
	}
	count = new(atomic.Int64)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := swap(); err != nil {
				t.Errorf("exchange: %v", err)
				return
			}
			count.Add(1)
			// A random while, so that the openings of a test meet each of the two states.
			for until := time.Now().Add(rand.N(50 * time.Microsecond)); time.Now().Before(until); {
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
	})
	return count
}

// watch returns a function that returns the names in dir that anything happened to since, by
// inotify(7). It sees a file without a name, too.
func watch(t *testing.T, dir string) (happened func() string) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	_, err = unix.InotifyAddWatch(fd, dir, unix.IN_ALL_EVENTS)
	must(t, err)
	return func() string {
		buf := make([]byte, 1<<16)
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EAGAIN) {
			return ""
		}
		must(t, err)
		return string(buf[:n])
	}
}

func isEscape(err error) bool { return errors.Unwrap(err).Error() == "path escapes from parent" }
