package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var limits = []*limit{
	{
		name: "descriptors", errno: syscall.EMFILE, says: "too many open files",
		impose: func(t *testing.T, _ string) func() { return setLimit(t, unix.RLIMIT_NOFILE, 100) },
	},
	{
		name: "mappings", errno: syscall.ENOMEM, says: "vm.max_map_count",
		impose: func(t *testing.T, _ string) func() { return leaveMappings(t, 512+200) },
	},
	{
		name: "addresses", errno: syscall.ENOMEM, says: "RLIMIT_AS",
		impose: func(t *testing.T, _ string) func() {
			used := take(t, os.TempDir()).addresses
			return setLimit(t, unix.RLIMIT_AS, uint64(used)+2<<30)
		},
		// The end of the file is a hole, which takes addresses and nothing else.
		open: func(dir string, i int) (reader, error) {
			m, err := snapshot.OpenMut(join(dir, "f"))
			if err != nil {
				return nil, err
			}
			_, err = m.WriteAt(noise(uint64(i), limitSize), 0)
			if err == nil {
				err = m.Resize(100 << 20)
			}
			if err != nil {
				return nil, errors.Join(err, m.Close())
			}
			return m, nil
		},
	},
	{
		name: "file size", errno: syscall.EFBIG, says: "file too large",
		impose: func(t *testing.T, _ string) func() {
			return setLimit(t, unix.RLIMIT_FSIZE, 10*limitSize)
		},
		open: func(dir string, i int) (reader, error) {
			m, err := openToStore(dir, i)
			if err != nil {
				return nil, err
			}
			if _, err = m.(*snapshot.MmapMut).WriteGrow([]byte("end"), int64(i)*limitSize); err != nil {
				return nil, errors.Join(err, m.Close())
			}
			_, err = m.(*snapshot.MmapMut).WriteAt(noise(uint64(i), limitSize), 0)
			return m, err
		},
	},
	{
		name: "locked memory", errno: syscall.ENOMEM, says: "RLIMIT_MEMLOCK", user: true,
		impose: func(t *testing.T, _ string) func() {
			if raceDetector() {
				t.Skip("the race detector maps more memory than may be locked")
			}
			undo := setLimit(t, unix.RLIMIT_MEMLOCK, 8<<20)
			must(t, unix.Mlockall(unix.MCL_FUTURE))
			return func() {
				must(t, unix.Munlockall())
				undo()
			}
		},
	},
	{
		name: "disk", errno: syscall.ENOSPC, says: "no space left on device",
		prepare: func(t *testing.T, kind *mounttest.Kind) string {
			dir := kind.Fresh(t, 0)
			leaveBlocks(t, dir, 8<<20)
			return dir
		},
		impose: func(*testing.T, string) func() { return func() {} },
	},
	{
		name: "inodes", errno: syscall.ENOSPC, says: "no space left on device",
		prepare: func(t *testing.T, kind *mounttest.Kind) string {
			dir := kind.Fresh(t, 0)
			if kind.Has(mounttest.Memory) {
				must(t, unix.Mount("", dir, "", unix.MS_REMOUNT, "nr_inodes=100"))
			}
			leaveInodes(t, dir, 20)
			return dir
		},
		impose: func(*testing.T, string) func() { return func() {} },
		open:   openToStore,
	},
	{
		name: "quota", on: mounttest.Subvolumes, errno: syscall.EDQUOT, says: "disk quota exceeded",
		prepare: func(t *testing.T, kind *mounttest.Kind) string {
			dir := kind.Fresh(t, 128<<20)
			for _, args := range [][]string{
				{"quota", "enable", dir},
				{"subvolume", "create", join(dir, "sub")},
				{"qgroup", "limit", "8M", join(dir, "sub")},
			} {
				if out, err := exec.Command("btrfs", args...).CombinedOutput(); err != nil {
					t.Fatalf("btrfs %v: %v\n%s", args, err, out)
				}
			}
			return join(dir, "sub")
		},
		impose: func(*testing.T, string) func() { return func() {} },
	},
	{
		name: "TempDir", errno: syscall.ENOSPC, says: "temporary directory ", readOnly: true,
		impose: func(t *testing.T, dir string) func() {
			// A smaller copy would go on to memory.
			must(t, os.Truncate(join(dir, "f"), 64<<20+1))
			must(t, unix.Mount(dir, dir, "", unix.MS_BIND, ""))
			must(t, unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
			return func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) }
		},
		open: func(dir string, _ int) (reader, error) {
			return snapshot.Config{TempDir: os.Getenv(limitPlace)}.Open(context.Background(), join(dir, "f"))
		},
	},
}

// limitPlace holds the TempDir of a child, or its control group.
const limitPlace = "SNAPSHOT_LIMIT_PLACE"

// At each limit, opening or mapping one more snapshot is an error that names the limit, and all
// open snapshots can be read. After they are closed, as many can be opened again, and the process
// has no more descriptors, mappings and memory than before. A child process meets the limit,
// because it may die.
//
//promise:snapshot at each limit of the table the error names it and open snapshots can be read
//promise:snapshot after a limit was met and snapshots were closed, as many can be opened again
func TestLimits(t *testing.T) {
	if name := os.Getenv(limitEnv); name != "" {
		for _, l := range limits {
			if l.name == name {
				l.meet(t, os.Getenv(limitDir))
			}
		}
		return
	}
	mounttest.Need(t, "CAP_SYS_ADMIN", "CAP_SETUID", "CAP_CHOWN")
	t.Setenv(limitPlace, mounttest.Kinds(mounttest.Memory)[0].Fresh(t, 8<<20))
	for _, l := range limits {
		t.Run(l.name, func(t *testing.T) {
			mounttest.EachKind(t, l.on|mounttest.Known, func(t *testing.T, kind *mounttest.Kind) {
				dir := ""
				if l.prepare != nil {
					dir = l.prepare(t, kind)
				} else {
					dir = kind.Dir(t)
				}
				write(t, join(dir, "f"), fileContents())
				if l.user {
					must(t, os.Chown(dir, 65534, 65534))
					must(t, os.Chown(join(dir, "f"), 65534, 65534))
				}
				out, err := l.startLimited(t, dir)
				if err != nil {
					t.Fatalf("the child: %v\n%s", err, out[:min(len(out), 6000)])
				}
				t.Logf("%s", out)
			})
		})
	}
}

// In a control group with little memory, the kernel writes copies to the disk and takes their
// memory back. On a filesystem in memory it cannot, and kills the process. Nothing is left of the
// copies.
//
//promise:snapshot in a memory cgroup copies on a disk take no memory that the kernel needs
func TestLimitsMemoryGroup(t *testing.T) {
	const size, room = 1 << 20, 64 << 20
	fill := func(t *testing.T, dir string) {
		debug.SetGCPercent(20)
		must(t, memoryGroup{os.Getenv(limitPlace)}.join())
		for i := range 3 * room / size {
			h := heldSnapshot{open(t, join(dir, "f")), 1, size}
			h.wantRead(t, fmt.Sprint(i))
			must(t, h.view())
		}
	}
	if os.Getenv(limitEnv) != "" {
		fill(t, os.Getenv(limitDir))
		return
	}
	mounttest.EachKind(t, mounttest.Known, func(t *testing.T, kind *mounttest.Kind) {
		mounttest.Leaks(t)
		dir := kind.Dir(t)
		t.Setenv(limitPlace, newMemoryGroup(t, room).dir)
		write(t, join(dir, "f"), noise(1, size))
		before := take(t, dir)
		out, err := (&limit{name: "memory"}).startLimited(t, dir)
		status, _ := err.(*exec.ExitError) //nolint:errorlint // exec returns exact values
		switch killed := status != nil && status.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL; {
		case kind.Has(mounttest.Memory) && !killed:
			t.Errorf("the kernel did not end the child: %v\n%s", err, out)
		case kind.Has(mounttest.Disk) && err != nil:
			t.Errorf("the child: %v\n%s", err, out)
		}
		if more := take(t, dir).over(before, kind.Slack()); more != "" {
			t.Error(more)
		}
	})
}

// Sparse files of 1 TiB to 8 EiB are opened or refused. While many of them are open, small files
// can be opened and mapped.
//
//promise:snapshot with any number of sparse files open, small files are opened and mapped
func TestLimitsSparseFiles(t *testing.T) {
	if math.MaxInt == math.MaxInt32 {
		t.Skip("32 bits: no such file can be opened")
	}
	if os.Getenv(limitEnv) != "" {
		openSparse(t, os.Getenv(limitDir))
		return
	}
	mounttest.EachKind(t, mounttest.Known, func(t *testing.T, kind *mounttest.Kind) {
		dir := kind.Dir(t)
		write(t, join(dir, "f"), fileContents())
		out, err := (&limit{name: "sparse"}).startLimited(t, dir)
		if err != nil {
			t.Fatalf("the child: %v\n%s", err, out[:min(len(out), 6000)])
		}
		t.Logf("%s", out)
	})
}

func openSparse(t *testing.T, dir string) {
	mounttest.Leaks(t)
	warmUp()
	before := take(t, dir)
	for _, size := range []int64{
		1 << 40, 1<<40 + 1, 1 << 43, 1 << 44, 1 << 45, 1 << 46, 1 << 47, 1 << 50, 1 << 62,
		math.MaxInt64 - 4095,
	} {
		name := join(dir, "sparse")
		write(t, name, noise(3, 4096))
		if err := os.Truncate(name, size); err != nil {
			t.Logf("%d bytes: %v", size, err) // the filesystem has no such files
			continue
		}
		sparseFiles(t, name, size)
		must(t, os.Remove(name))
		settleDown(dir)
	}
	commitThenRestore(t, dir)
	wantNoMore(t, dir, before)
}

// sparseFiles opens many snapshots of one file, and then small ones beside it.
func sparseFiles(t *testing.T, name string, size int64) {
	var held []heldSnapshot
	defer closeHeld(&held)
	var refused error
	for range mounttest.Count(100, 200, 1000) {
		m, err := snapshot.Open(name)
		if err != nil {
			refused = err
			break
		}
		h := heldSnapshot{m, 3, 4096}
		held = append(held, h)
		h.wantRead(t, fmt.Sprint(size))
		if err := h.view(); err != nil {
			refused = err
		}
	}
	t.Logf("%d bytes: %d snapshots were opened; %v", size, len(held), refused)
	if refused != nil && !errors.Is(refused, syscall.ENOMEM) && !errors.Is(refused, syscall.EFBIG) {
		t.Errorf("%d bytes: %v", size, refused)
	}
	if refused == nil && size >= 1<<44 {
		t.Errorf("%d bytes: %d snapshots were mapped, and no limit was met", size, len(held))
	}
	useRuntime()
	for i := range 20 {
		m, err := openAlternately(filepath.Dir(name), i)
		must(t, err)
		err = m.View(0, -1, func([]byte) error { return nil })
		if err = errors.Join(err, m.Close()); err != nil {
			t.Errorf("beside files of %d bytes: %v", size, err)
			break
		}
	}
	for _, h := range held {
		h.wantRead(t, fmt.Sprint(size))
	}
	must(t, closeHeld(&held))
}
