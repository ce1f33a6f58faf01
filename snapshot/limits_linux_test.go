package snapshot_test

import (
	"context"
	"os"
	"os/exec"
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
		at: func(l *limit, t *testing.T, dir string, held []heldSnapshot, _ *heldSnapshot) {
			defer takeDescriptors(t)() // a commit needs less than opening
			l.wantNoCommit(t, dir, held, nil)
		},
	},
	{
		name: "mappings", errno: syscall.ENOMEM, says: "vm.max_map_count", slow: true,
		impose: func(t *testing.T, _ string) func() { return leaveMappings(t, 512+200) },
		at: func(l *limit, t *testing.T, dir string, held []heldSnapshot, refused *heldSnapshot) {
			l.wantNotMapped(t, dir, held, refused)
			mapPages(t, 400)() // of the 512
		},
	},
	{
		name: "addresses", errno: syscall.ENOMEM, says: "RLIMIT_AS",
		impose: func(t *testing.T, _ string) func() {
			used := take(t, os.TempDir()).addresses
			return setLimit(t, unix.RLIMIT_AS, uint64(used)+2<<30)
		},
		open: func(dir string, i int) (reader, error) { return openToStore(dir, i, 100<<20) },
		at:   (*limit).wantNotMapped,
	},
	{
		name: "file size", errno: syscall.EFBIG, says: "file too large",
		prepare: func(t *testing.T, dir string) {
			write(t, join(dir, "large"), noise(1, 11*limitSize))
		},
		impose: func(t *testing.T, _ string) func() {
			return setLimit(t, unix.RLIMIT_FSIZE, 10*limitSize)
		},
		open: func(dir string, i int) (reader, error) {
			m, err := openToStore(dir, i, limitSize)
			if err == nil {
				_, err = m.WriteGrow([]byte("end"), int64(i)*limitSize)
			}
			if err != nil {
				return nil, closeAfter(m, err)
			}
			_, err = m.WriteAt(noise(uint64(i), limitSize), 0)
			return m, err
		},
		at: func(l *limit, t *testing.T, dir string, held []heldSnapshot, _ *heldSnapshot) {
			m, err := snapshot.Open(join(dir, "large"))
			if l.wantError(t, "Open", err); err == nil {
				must(t, m.Close())
			}
			mut, err := snapshot.OpenMut(join(dir, "large"))
			if l.wantError(t, "OpenMut", err); err == nil {
				must(t, mut.Close())
			}
			l.wantError(t, "Resize", changeable(held).Resize(10*limitSize+1))
		},
	},
	{
		// Snapshots of 3 MiB leave 2 MiB to the Go runtime, which would end the program at the
		// limit, as the table says. It has its heap from the warm-up.
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
		open: func(dir string, i int) (reader, error) { return openToStore(dir, i, 3<<20) },
		at:   (*limit).wantNotMapped,
	},
	{
		name: "disk", errno: syscall.ENOSPC, says: "no space left on device",
		fresh: func(t *testing.T, kind *mounttest.Kind) string {
			dir := kind.Fresh(t, 0)
			leaveBlocks(t, dir, 8<<20)
			return dir
		},
		open: openWithHoles,
		at:   (*limit).wantNoSpace,
	},
	{
		name: "inodes", errno: syscall.ENOSPC, says: "no space left on device",
		fresh: func(t *testing.T, kind *mounttest.Kind) string {
			dir := kind.Fresh(t, 0)
			if kind.Has(mounttest.Memory) {
				must(t, unix.Mount("", dir, "", unix.MS_REMOUNT, "nr_inodes=100"))
			}
			leaveInodes(t, dir, 20)
			return dir
		},
		open: func(dir string, i int) (reader, error) { return openToStore(dir, i, limitSize) },
		at: func(l *limit, t *testing.T, dir string, held []heldSnapshot, _ *heldSnapshot) {
			if len(held) != 19 { // the file has the other one
				t.Errorf("%d snapshots are open", len(held))
			}
			l.wantNoCommit(t, dir, held, nil)
		},
	},
	{
		name: "quota", on: mounttest.Subvolumes, errno: syscall.EDQUOT, says: "disk quota exceeded",
		fresh: func(t *testing.T, kind *mounttest.Kind) string {
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
		open: openWithHoles,
		at:   (*limit).wantNoSpace,
	},
	{
		name: "TempDir", errno: syscall.ENOSPC, says: "temporary directory ", readOnly: true,
		fresh: func(t *testing.T, kind *mounttest.Kind) string {
			// On 32 bits only 16 copies can be mapped.
			t.Setenv(limitPlace, mounttest.Fresh(t, mounttest.Memory, 4<<20))
			return kind.Dir(t)
		},
		prepare: func(t *testing.T, dir string) {
			write(t, join(dir, "large"), fileContents())
			// A smaller copy would go on to memory.
			must(t, os.Truncate(join(dir, "large"), 64<<20+1))
		},
		impose: func(t *testing.T, dir string) func() {
			must(t, unix.Mount(dir, dir, "", unix.MS_BIND, ""))
			must(t, unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
			return func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) }
		},
		open: func(dir string, _ int) (reader, error) {
			return snapshot.Config{TempDir: os.Getenv(limitPlace)}.Open(context.Background(), join(dir, "large"))
		},
	},
}

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
	for _, l := range limits {
		t.Run(l.name, func(t *testing.T) {
			l.eachDir(t, func(t *testing.T, dir string) {
				write(t, join(dir, "f"), fileContents())
				if l.prepare != nil {
					l.prepare(t, dir)
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

// wantNotMapped checks what the refused snapshot, which could not be mapped, can do. It goes on
// without memory.
func (l *limit) wantNotMapped(t *testing.T, dir string, _ []heldSnapshot, refused *heldSnapshot) {
	t.Helper()
	if refused == nil {
		t.Fatal("opening failed")
	}
	l.wantError(t, "Prefetch", refused.Prefetch(0, limitSize))
	if refused.Bytes() != nil {
		t.Error("Bytes returns memory")
	}
	if m, ok := refused.reader.(*snapshot.MmapMut); ok {
		_, err := m.WriteAt(noise(8, limitSize), 0)
		must(t, err)
		refused.seed = 8
		must(t, m.CommitTo(join(dir, "other")))
		committed, err := snapshot.Open(join(dir, "other"))
		must(t, err)
		heldSnapshot{committed, 8, limitSize}.wantRead(t, "committed")
		must(t, committed.Close())
		must(t, os.Remove(join(dir, "other")))
	}
	for range 2 { // the second time the pages are known to be in memory
		refused.wantRead(t, "not mapped")
	}
}

// wantNoSpace checks that no more bytes can be stored in any way.
func (l *limit) wantNoSpace(t *testing.T, dir string, held []heldSnapshot, _ *heldSnapshot) {
	t.Helper()
	m := changeable(held)
	hole := m.Size() - limitSize
	_, err := m.WriteAt(noise(2, int(hole)), limitSize)
	l.wantError(t, "WriteAt", err)
	l.wantError(t, "View", m.View(limitSize, hole, func(b []byte) error {
		copy(b, noise(3, len(b)))
		return nil
	}))
	_, err = m.WriteGrow(noise(4, int(hole)), m.Size())
	l.wantError(t, "WriteGrow", err)
	if mounttest.Has(dir, mounttest.NoReflinks) { // else a commit needs a few blocks
		l.wantNoCommit(t, dir, held, nil)
	}
}

// wantNoCommit checks that a commit fails.
func (l *limit) wantNoCommit(t *testing.T, _ string, held []heldSnapshot, _ *heldSnapshot) {
	t.Helper()
	l.wantError(t, "Commit", changeable(held).Commit())
}
