package snapshot_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// deadDisk matches what commits say then: ext4 may come to see itself as read-only.
var deadDisk = regexp.MustCompile(fmt.Sprint(unix.EIO, "|", unix.EROFS))

// Whenever the filesystem stops, the file is one generation once it is mounted again; no commit
// that returned, even after that, is lost; and a commit on a dead filesystem says so.
//
//promise:snapshot.MmapMut.Commit after a filesystem shutdown the file is one version, whole
func TestCrashShutdown(t *testing.T) {
	mounttest.EachKind(t, mounttest.Shutdown, func(t *testing.T, kind *mounttest.Kind) {
		i := newImage(t, kind, join(mounttest.Dir(t, mounttest.Memory), "image"))
		i.mount(t)
		for _, way := range crashWays {
			t.Run(way, func(t *testing.T) {
				var total tally
				for k := range mounttest.Count(2, 15, 1000) {
					w := crashWork{Dir: join(i.dir, fmt.Sprint(way, k)), Way: way}
					acked := w.shutdown(t, i, []int{noLogFlush, logFlush}[k%2])
					total.survived(t, w, acked)
				}
				t.Log(&total)
			})
		}
	})
}

// shutdown has a child do the work for some milliseconds, until the filesystem stops, and
// mounts that again.
func (w crashWork) shutdown(t testing.TB, i *image, flag int) (acked int) {
	t.Helper()
	w.prepare(t)
	child := w.start(t)
	time.Sleep(rand.N(20 * time.Millisecond))
	must(t, i.shutdown(flag))
	child.wait()
	if child.end() || !deadDisk.MatchString(child.out.String()) {
		t.Errorf("the child: %v\n%s", child.cmd.ProcessState, &child.out)
	}
	i.unmount(t)
	i.mount(t)
	return child.count
}

// fsync of a directory on an XFS that has stopped reports success although nothing was written:
// xfs_dir_fsync does not look (Linux 6.18). A commit that the stop overtakes there must not.
func TestCrashShutdownSilent(t *testing.T) {
	mounttest.EachKind(t, mounttest.Shutdown, func(t *testing.T, kind *mounttest.Kind) {
		i := newImage(t, kind, join(mounttest.Dir(t, mounttest.Memory), "image"))
		i.mount(t)
		for _, way := range crashWays {
			t.Run(way, func(t *testing.T) {
				w := crashWork{Dir: join(i.dir, way), Way: way}
				w.prepare(t)
				c, err := w.committer()
				must(t, err)
				syncs := 0
				undo := systest.Intercept(t, func(call string) error {
					if call == "fsync" {
						if syncs++; syncs == 2 { // the first is of the data
							must(t, i.shutdown(noLogFlush))
						}
					}
					return nil
				})
				err = c.commit(1)
				undo()
				if !errors.Is(err, snapshot.ErrNotDurable) {
					t.Errorf("%v: is not %v", err, snapshot.ErrNotDurable)
				}
				_ = c.close() // or what it has open keeps the filesystem mounted
				i.unmount(t)
				i.mount(t)
				if _, err := w.inspect(0); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

func (i *image) shutdown(flag int) error {
	root, err := os.Open(i.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return os.NewSyscallError("ioctl", unix.IoctlSetPointerInt(int(root.Fd()), ioctlShutdown, flag))
}
