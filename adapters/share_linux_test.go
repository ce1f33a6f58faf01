package adapters_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// TestOneCopyForAll: those who open a file at once, and those who open it later, share a copy
// until it changes, also below Sub.
//
//promise:adapters.FS.Open callers share one copy until the file changes, below Sub too
//promise:adapters.FS.Open a copy of more than 1 MiB waits so that callers can share it
func TestOneCopyForAll(t *testing.T) {
	mounttest.EachOf(t, mounttest.Leases|mounttest.NoReflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		var c copies
		fsys := newFS(t, dir, snapshot.Config{Progress: c.progress})
		if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
			t.Fatal(err)
		}
		sub, _ := fsys.Sub("sub")
		content := random(2 << 20)
		put(t, dir, "sub/f", content) // just now
		for round := range int64(3) {
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() {
					tree, name := fs.FS(fsys), "sub/f"
					if i%2 == 1 {
						tree, name = sub, "f"
					}
					if p, err := fs.ReadFile(tree, name); err != nil || !bytes.Equal(p, content) {
						t.Errorf("%s: %d bytes, or others, %v", name, len(p), err)
					}
				})
			}
			wg.Wait()
			same(t, contents(t, fsys, "sub/f"), content)
			if n := c.count(); n != round+1 {
				t.Errorf("%d copies after round %d", n, round)
			}
			if known, idle := fsys.Kept(); known != 1 || idle != 1 {
				t.Errorf("round %d: %d snapshots are kept, %d of them unused", round, known, idle)
			}
			content[round] ^= 1
			put(t, dir, "sub/f", content)
		}
	})
}

// TestReflinksAreShared, too: so is what is in memory of them.
//
//promise:adapters.FS.Open callers share a reflink and its resident pages
func TestReflinksAreShared(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		fsys := newFS(t, dir, snapshot.Config{NoCopy: true})
		settled(t, dir, "f", random(10000))
		contents(t, fsys, "f")
		known, idle := fsys.Kept()
		if known != 1 || idle != 1 {
			t.Errorf("%d snapshots are kept, %d of them unused", known, idle)
		}
		a, err := fsys.Open("f")
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if known, idle := fsys.Kept(); known != 1 || idle != 0 {
			t.Errorf("in use: %d snapshots are kept, %d of them unused", known, idle)
		}
	})
}

// TestNeverOld overwrites a file as fast as it can, with contents of the same size: whoever
// opens it then sees them.
//
//promise:adapters.FS.Open Open shows all bytes written before the call
func TestNeverOld(t *testing.T) {
	check := func(t *testing.T, dir string, rounds int) {
		fsys := newFS(t, dir, snapshot.Config{})
		name := put(t, dir, "f", make([]byte, 10))
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for i := range rounds {
			want := fmt.Appendf(nil, "%010d", i)
			if _, err := f.WriteAt(want, 0); err != nil {
				t.Fatal(err)
			}
			same(t, contents(t, fsys, "f"), want)
		}
	}
	mounttest.Each(t, func(t *testing.T, dir string) { check(t, dir, mounttest.Count(20, 200, 5000)) })
	// Inodes this small have no room for parts of a second: an opening waits for the next one.
	t.Run("whole seconds", func(t *testing.T) {
		check(t, mounttest.Fresh(t, mounttest.WholeSeconds, 16<<20), mounttest.Count(2, 10, 1000))
	})
}

// TestNeverOldForWaiters: whoever asks while a snapshot is being made that is not to be shared
// waits for one that is begun later.
//
//promise:adapters.FS.Open each of many callers of an unsettled file gets a snapshot begun later
func TestNeverOldForWaiters(t *testing.T) {
	dir := mounttest.Fresh(t, mounttest.WholeSeconds, 64<<20) // nothing is shared for two seconds
	name := put(t, dir, "f", bytes.Repeat([]byte{1}, 1<<20))
	var version atomic.Int32
	version.Store(1)
	stop := make(chan struct{})
	fsys := newFS(t, dir, snapshot.Config{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range mounttest.Count(100, 500, 5000) {
				least := version.Load()
				f, err := fsys.Open("f")
				if errors.Is(err, snapshot.ErrUnstable) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				var b [1]byte
				if _, err := f.Read(b[:]); err != nil || int32(b[0]) < least {
					t.Errorf("version %d, after %d was written; %v", b[0], least, err)
				}
				_ = f.Close()
			}
		})
	}
	go func() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
		}
		for i := int32(2); i < 250; i++ {
			_, _ = f.WriteAt([]byte{byte(i)}, 0)
			version.Store(i)
			time.Sleep(time.Millisecond)
		}
		_ = f.Close()
		close(stop)
	}()
	wg.Wait()
	<-stop
}

// A snapshot is shared if it is made at least one granularity of the file's times after the last
// change. The mtime, which programs can set, does not count as a change.
func TestIsSettled(t *testing.T) {
	changed, whole := time.Unix(1000, 1), time.Unix(1000, 0)
	for _, test := range []struct {
		mtime, ctime time.Time
		after        time.Duration
		want         bool
	}{
		{changed, changed, 12*time.Millisecond - 1, false},
		{changed, changed, 12 * time.Millisecond, true},
		{changed.Add(time.Hour), changed, 12 * time.Millisecond, true},
		{changed.Add(-time.Hour), changed, 0, false},
		{whole, whole, 2*time.Second - 1, false},
		{whole, whole, 2 * time.Second, true},
		{changed, changed, -time.Second, true}, // the clock was set
		{whole, whole, -time.Second, false},
	} {
		st := syscalls.Stat{Mtime: test.mtime, Ctime: test.ctime}
		if got := adapters.IsSettled(st, test.ctime.Add(test.after)); got != test.want {
			t.Errorf("mtime %v, ctime %v, copied %v later: %v",
				test.mtime, test.ctime, test.after, got)
		}
	}
}

// TestUnusedAreDropped: after a while, beyond a number, when they are outdated, and with the FS.
//
//promise:adapters.FS unused snapshots go after ten seconds, beyond 32, or when the file changed
func TestUnusedAreDropped(t *testing.T) {
	mounttest.Leaks(t)
	if adapters.IdleCount != 32 || adapters.IdleTime != 10*time.Second {
		t.Errorf("%d are kept for %v", adapters.IdleCount, adapters.IdleTime)
	}
	dir := mounttest.Dir(t, mounttest.Memory)
	for i := range adapters.IdleCount + 5 {
		put(t, dir, fmt.Sprint(i), random(5000))
	}
	settled(t, dir, "f", random(100))
	fsys := newFS(t, dir, snapshot.Config{})
	for i := range adapters.IdleCount + 5 {
		contents(t, fsys, fmt.Sprint(i))
	}
	if known, idle := fsys.Kept(); known != adapters.IdleCount || idle != known {
		t.Errorf("%d snapshots are kept, %d of them unused", known, idle)
	}
	if err := fsys.Close(); err != nil {
		t.Fatal(err)
	}
	if known, idle := fsys.Kept(); known != 0 || idle != 0 {
		t.Errorf("after Close: %d, %d", known, idle)
	}

	fsys = newFS(t, dir, snapshot.Config{})
	fsys.SetIdleTime(20 * time.Millisecond)
	f, err := fsys.Open("0")
	if err != nil {
		t.Fatal(err)
	}
	contents(t, fsys, "1")
	waitFor(t, func() bool { known, idle := fsys.Kept(); return known == 1 && idle == 0 })
	if _, err := io.ReadAll(f); err != nil { // what is in use stays
		t.Error(err)
	}
	_ = f.Close()
	waitFor(t, func() bool { known, _ := fsys.Kept(); return known == 0 })

	fsys = newFS(t, dir, snapshot.Config{})
	fsys.SetIdleTime(time.Hour)
	for i := range 5 {
		contents(t, fsys, "f")
		settled(t, dir, "f", random(100+i))
	}
	contents(t, fsys, "f")
	if known, idle := fsys.Kept(); known != 1 || idle != 1 {
		t.Errorf("of old versions, %d snapshots are kept, %d of them unused", known, idle)
	}
}
