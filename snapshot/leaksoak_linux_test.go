package snapshot_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Opening and closing, over and over, leaves no descriptor, mapping, name, disk block, memory or
// goroutine.
//
//promise:snapshot.Mmap.Close Close leaves no descriptor, mapping, name, disk block or goroutine
//promise:mounttest.Kind.Slack removed files leave at most Slack bytes in use
func TestOpenCloseLeavesNothing(t *testing.T) {
	privateFiles(t)
	mounttest.EachKind(t, mounttest.Known, func(t *testing.T, kind *mounttest.Kind) {
		// One commit or snapshot of the file that were left behind would be 100 KiB, or on a
		// filesystem with reflinks what was changed of it; the runs are long enough to make that
		// more than the slack. Unmounting fails if a file is still used.
		leavesNothing(t, kind.Fresh(t, 512<<20), kind.Slack())
	})
	t.Run("host", func(t *testing.T) { leavesNothing(t, mounttest.Dir(t, mounttest.Host), 1<<62) }) // others write there, too
}

func leavesNothing(t *testing.T, dir string, slack int64) {
	mounttest.Leaks(t)
	name := join(dir, "f")
	write(t, name, noise(1, 100_000))
	marathon(t, name, 20, 10) // what is made once
	before := take(t, dir)
	snapshots, commits := mounttest.Count(300, 10_000, 100_000), mounttest.Count(40, 1000, 10_000)
	marathon(t, name, snapshots, commits)
	var after inventory
	var more string
	for try := range 80 { // cleanups, and what the filesystem frees, take their time
		after = take(t, dir)
		if more = after.over(before, slack); more == "" {
			break
		}
		time.Sleep(time.Duration(try*10) * time.Millisecond)
	}
	if more != "" {
		t.Errorf("after %d snapshots and %d commits: %s", snapshots, commits, more)
	}
	t.Logf("%d snapshots, %d commits: %+v, before %+v", snapshots, commits, after, before)
}

// marathon reads snapshots of the file, and commits it, again and again.
func marathon(t testing.TB, name string, snapshots, commits int) {
	p := make([]byte, 5000)
	want := noise(1, 100_000)
	for i := range snapshots {
		m, err := snapshot.Open(name)
		must(t, err)
		for range 2 { // by a system call, and from the mapping
			_, err = m.ReadAt(p, 50_000)
			must(t, err)
		}
		if !bytes.Equal(p, want[50_000:55_000]) {
			t.Fatal("wrong bytes")
		}
		switch i % 10 { // the addresses go by way of the quarantine
		case 0:
			must(t, m.View(0, -1, func([]byte) error { return nil }))
		case 1:
			_ = m.Bytes()
		}
		must(t, m.Close())
	}
	for i := range commits {
		m, err := snapshot.OpenMut(name)
		must(t, err)
		for range 2 {
			_, err = m.WriteAt(want[20_000:25_000], 20_000)
			must(t, err)
		}
		must(t, m.Resize(int64(150_000+i%2*5_000_000))) // moves, sometimes
		must(t, m.Resize(int64(len(want))))
		if i%10 == 0 {
			must(t, m.CommitAndClose())
			continue
		}
		must(t, m.Commit())
		must(t, m.Close())
	}
	wantFile(t, name, want)
}
