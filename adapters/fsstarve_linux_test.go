package adapters_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A file that changes all the time, as a log, is opened: its copy is put off by 100 ms at most, not for
// as long as it changes.
//
//promise:adapters.FS a copy of more than 1 MiB is put off by up to 100 ms
func TestFSOpensFileThatChangesAllTheTime(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	put(t, dir, "log", random(2*mib))
	name := filepath.Join(dir, "log")
	fsys := newFS(t, dir, snapshot.Config{})
	stop, opened := make(chan struct{}), make(chan error)
	go func() {
		f, err := fsys.Open("log")
		if err == nil {
			err = f.Close()
		}
		opened <- err
	}()
	writer := make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				writer <- nil
				return
			default:
			}
			// Another time, which shows no other contents.
			if err := os.Chmod(name, 0o644); err != nil {
				writer <- err
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	select {
	case err := <-opened:
		if err != nil {
			t.Error(err)
		}
		close(stop)
	case <-time.After(20 * time.Second):
		t.Error("it is not opened while it changes")
		close(stop)
		<-opened
	}
	if err := <-writer; err != nil {
		t.Error(err)
	}
}

// Callers that wait for room learn that the FS is closed.
//
//promise:adapters.FS.Close callers that wait at a limit get fs.ErrClosed
func TestFSCloseWakesWaiting(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	settled(t, dir, "a", random(mib))
	settled(t, dir, "b", random(mib))
	fsys := newFS(t, dir, snapshot.Config{})
	fsys.SetLimits(adapters.Limits{Held: 3 * mib / 2, Wait: -1})
	a := mustOpen(t, fsys, "a")
	ended := make(chan error)
	go func() {
		_, err := fsys.Open("b")
		ended <- err
	}()
	waitFor(t, fsys.Queued)
	if err := fsys.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits in a closed FS")
		_ = a.Close()
		<-ended
	}
}

// A file that waits because copies of its own versions take too much does not take the unused copies
// of other files away: they would not help.
func TestFSVersionsLimitKeepsOthers(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	settled(t, dir, "other", random(mib/2))
	fsys := newFS(t, dir, snapshot.Config{})
	fsys.SetIdleTime(time.Hour)
	fsys.SetLimits(adapters.Limits{Held: 4 * mib, Wait: time.Millisecond})
	contents(t, fsys, "other")
	for i := range 2 {
		settled(t, dir, "f", random(mib-i))
		mustOpen(t, fsys, "f")
	}
	settled(t, dir, "f", random(mib-2))
	wantLimit(t, fsys, "f", "Limits.Held: copies of other versions of 2097151 bytes")
	if _, idle := fsys.Kept(); idle != 1 {
		t.Errorf("%d unused copies are kept", idle)
	}
}

// A file that grows after it was looked at takes the room that its copy has.
//
//promise:adapters.Limits.Held a copy takes the room of its own size
func TestFSHeldLimitOfGrownFile(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	settled(t, dir, "first", random(2000))
	settled(t, dir, "grows", random(1000))
	settled(t, dir, "g", random(2*mib))
	opened := make(chan error)
	var fsys *adapters.FS
	var once sync.Once
	fsys = newFS(t, dir, snapshot.Config{Progress: func(int64, int64) {
		once.Do(func() {
			go func() {
				f, err := fsys.Open("grows")
				if err == nil {
					t.Cleanup(func() { _ = f.Close() })
				}
				opened <- err
			}()
			waitFor(t, fsys.Queued)
			put(t, dir, "grows", random(3*mib))
		})
	}})
	fsys.SetLimits(adapters.Limits{Held: 4 * mib, Copies: 1, Wait: -1})
	contents(t, fsys, "first")
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	fsys.SetLimits(adapters.Limits{Held: 4 * mib, Wait: time.Millisecond})
	wantLimit(t, fsys, "g", "Limits.Held: copies of 3145728 bytes")
}
