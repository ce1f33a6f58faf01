package adapters_test

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Copies in use take the room of others, until they are closed; unused ones make room.
//
//promise:adapters.Limits.Held copies of more bytes do not exist; unused ones are dropped for others
//promise:adapters.Limits.Held a larger file is ErrLimit at once
//promise:adapters.Limits.Wait after that time, opening a file is ErrLimit
//promise:adapters.ErrLimit errors.Is finds it at a limit, and the text names the limit
//promise:adapters.FS.SetLimits limits apply from the next copy on, below Sub too
func TestFSHeldLimit(t *testing.T) {
	mounttest.EachOf(t, mounttest.Leases|mounttest.NoReflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		for _, name := range []string{"a", "b", "c"} {
			settled(t, dir, name, random(mib))
		}
		put(t, dir, "small", random(1000))
		put(t, dir, "large", random(5*mib))
		fsys := newFS(t, dir, snapshot.Config{})
		fsys.SetIdleTime(time.Hour)
		sub, err := fsys.Sub(".")
		if err != nil {
			t.Fatal(err)
		}
		fsys.SetLimits(adapters.Limits{Held: 5 * mib / 2, Wait: -1})
		a := mustOpen(t, fsys, "a")
		mustOpen(t, fsys, "b")
		mustOpen(t, fsys, "b") // shared, so it takes no room
		mustOpen(t, fsys, "small")
		wantLimit(t, sub, "large", "Limits.Held is 2621440")
		fsys.SetLimits(adapters.Limits{Held: 5 * mib / 2, Wait: time.Millisecond})
		wantLimit(t, sub, "c", "Limits.Held: copies of 2")
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		c := mustOpen(t, fsys, "c")
		if _, idle := fsys.Kept(); idle != 0 {
			t.Errorf("%d unused copies are kept", idle)
		}
		fsys.SetLimits(adapters.Limits{Held: 5 * mib / 2, Wait: -1})
		go func() {
			time.Sleep(10 * time.Millisecond)
			_ = c.Close()
		}()
		mustOpen(t, fsys, "a") // waits for c to be closed
		fsys.SetLimits(adapters.Limits{Held: -1})
		mustOpen(t, fsys, "large")
	})
}

// Versions of one file, replaced all the time, leave half of the room to others.
//
//promise:adapters.Limits.Held versions of one file take no more than half of it
func TestFSVersionsLimit(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	put(t, dir, "other", random(mib))
	fsys := newFS(t, dir, snapshot.Config{})
	fsys.SetLimits(adapters.Limits{Held: 4 * mib, Wait: time.Millisecond})
	for i := range 2 {
		settled(t, dir, "f", random(mib-i))
		mustOpen(t, fsys, "f")
	}
	settled(t, dir, "f", random(mib-2))
	wantLimit(t, fsys, "f", "Limits.Held: copies of other versions of 2097151 bytes")
	mustOpen(t, fsys, "other")
}

// While one file is being copied, others are not beyond a limit; a file that is larger than the limit
// is copied alone.
//
//promise:adapters.Limits.Copies no more files are copied at a time
//promise:adapters.Limits.Copying no more bytes are copied at a time, a larger file alone
func TestFSCopyingLimit(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	for limit, l := range map[string]adapters.Limits{
		"Limits.Copying: 2097152 bytes are": {Copying: mib, Wait: time.Millisecond},
		"Limits.Copies: 1 files are being":  {Copies: 1, Wait: time.Millisecond},
		"":                                  {Copying: 2*mib + 2000, Copies: 2},
	} {
		var fsys *adapters.FS
		calls := 0
		fsys = newFS(t, dir, snapshot.Config{Progress: func(_, total int64) {
			if total == 2000 {
				return
			}
			if calls++; calls > 1 {
				return
			}
			if limit != "" {
				wantLimit(t, fsys, "other", limit)
				return
			}
			contents(t, fsys, "other")
		}})
		fsys.SetLimits(l)
		for range 2 { // the first time leaves nothing behind
			settled(t, dir, "other", random(2000))
			settled(t, dir, "f", random(2*mib))
			calls = 0
			same(t, contents(t, fsys, "f"), random(2*mib))
			same(t, contents(t, fsys, "other"), random(2000))
			if calls == 0 {
				t.Error("the file was not copied")
			}
		}
	}
}

// Reflinks take no room.
//
//promise:adapters.Limits a reflink does not count
func TestFSReflinksHaveNoLimit(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		settled(t, dir, "f", random(2*mib))
		settled(t, dir, "g", random(mib/2))
		fsys := newFS(t, dir, snapshot.Config{})
		fsys.SetLimits(adapters.Limits{Held: mib, Copying: 1, Wait: time.Millisecond})
		mustOpen(t, fsys, "f")
		for range 3 {
			mustOpen(t, fsys, "g")
			settled(t, dir, "g", random(mib/2))
		}
	})
}

// A copy that no caller waits for any more is given up; one that another caller waits for goes on.
//
//promise:adapters.FS.OpenContext when the context ends, so does the copy, unless others wait for it
func TestFSOpenContext(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	content := random(16 * mib)
	settled(t, dir, "f", content)
	for _, others := range []int{0, 1} {
		ctx, cancel := context.WithCancel(t.Context())
		waited := make(chan error, 1)
		var fsys *adapters.FS
		begun := false
		var last int64
		fsys = newFS(t, dir, snapshot.Config{Progress: func(done, _ int64) {
			if last = done; begun {
				return
			}
			begun = true
			for range others {
				go func() {
					p, err := fsys.ReadFile("f")
					if err == nil && len(p) != len(content) {
						err = fs.ErrInvalid
					}
					waited <- err
				}()
			}
			waitFor(t, func() bool { return fsys.Waiting() == others })
			cancel()
			waitFor(t, func() bool { return fsys.Waiting() == others-1 || fsys.Making() == 0 })
		}})
		_, err := fsys.OpenContext(ctx, "f")
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%d others: %v", others, err)
		}
		if all := last == int64(len(content)); all != (others > 0) {
			t.Errorf("%d others: %d bytes were copied", others, last)
		}
		for range others {
			if err := <-waited; err != nil {
				t.Errorf("another caller: %v", err)
			}
		}
		same(t, contents(t, fsys, "f"), content)
	}
}

// A caller whose context ends leaves the others waiting.
//
//promise:adapters.FS.OpenContext a caller that waits gives up when its context ends
func TestFSOpenContextWaiting(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	settled(t, dir, "f", random(2*mib))
	var fsys *adapters.FS
	begun := false
	fsys = newFS(t, dir, snapshot.Config{Progress: func(int64, int64) {
		if begun {
			return
		}
		begun = true
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := fsys.OpenContext(ctx, "f")
			done <- err
		}()
		waitFor(t, func() bool { return fsys.Waiting() == 1 })
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the one that waits: %v", err)
		}
	}})
	same(t, contents(t, fsys, "f"), random(2*mib))
}
