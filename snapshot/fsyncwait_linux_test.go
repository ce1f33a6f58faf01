package snapshot_test

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A slowCall holds up one call of the kernel, as a slow disk does.
type slowCall struct {
	entered chan struct{} // closed when somebody makes the call
	release func()        // lets it go on, and all later ones
}

// slow holds up the k-th call of that name from now on.
func slow(t testing.TB, name string, k int64) *slowCall {
	released := make(chan struct{})
	s := &slowCall{entered: make(chan struct{}), release: sync.OnceFunc(func() { close(released) })}
	var calls atomic.Int64
	undo := systest.Intercept(t, func(call string) error {
		if call == name && calls.Add(1) == k {
			close(s.entered)
			<-released
		}
		return nil
	})
	t.Cleanup(func() { s.release(); undo() })
	return s
}

// During each step of a commit that waits for the disk, or for others, and it may be for ever,
// everything but another commit and Close goes on.
//
//promise:snapshot.MmapMut.Commit all methods but another commit and Close run while Commit waits
//promise:adapters.File.WriteAt WriteAt does not wait while Sync waits for the disk
//promise:adapters.File.ReadAt ReadAt does not wait for Sync
func TestNothingWaitsForTheDisk(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		for _, step := range []struct {
			call string
			k    int64
		}{{"writeback", 1}, {"fsync", 1}, {"fsync", 2}, {"flock", 1}, {"linkat", 1}, {"renameat", 1}} {
			for _, way := range []struct {
				name string
				do   func(m *snapshot.MmapMut) error
			}{
				{"Commit", (*snapshot.MmapMut).Commit},
				{"CommitTo", func(m *snapshot.MmapMut) error { return m.CommitTo(m.Name() + "2") }},
			} {
				t.Run(fmt.Sprint(way.name, " ", step.call, step.k), func(t *testing.T) {
					mounttest.Leaks(t)
					name := join(dir, "f")
					data := noise(1, 100_000)
					write(t, name, data)
					write(t, name+"2", nil)
					m := openMut(t, name)
					s := slow(t, step.call, step.k)
					committed := make(chan error, 1)
					go func() { committed <- way.do(m) }()
					select {
					case <-s.entered:
					case err := <-committed:
						t.Fatalf("the commit made no such call: %v", err)
					}
					for _, op := range operations(t, m) {
						inTime(t, op.name, op.do)
					}
					select {
					case err := <-committed:
						t.Fatalf("the commit did not wait: %v", err)
					default:
					}
					s.release()
					must(t, <-committed)
					must(t, m.Close())
				})
			}
		}
	})
}

// While the clone or copy of a commit is made, reading goes on; WriteAt waits, as the doc of
// Commit says, because the clone is to contain all of it or nothing.
//
//promise:snapshot.MmapMut.WriteAt WriteAt waits while a commit clones the private file
//promise:snapshot.MmapMut.ReadAt ReadAt does not wait while a commit clones the private file
//promise:adapters.File.WriteAt WriteAt waits while Sync clones the private file
func TestWriteAtWaitsForTheClone(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 100_000)
		write(t, name, data)
		m := openMut(t, name)
		call := "copy_file_range"
		if m.Method() == snapshot.Reflink {
			call = "ficlone"
		}
		s := slow(t, call, 1)
		committed := make(chan error, 1)
		go func() { committed <- m.Commit() }()
		select {
		case <-s.entered:
		case err := <-committed:
			t.Fatalf("the commit made no such call: %v", err)
		}
		written := make(chan error, 1)
		go func() {
			_, err := m.WriteAt([]byte("not in the commit"), 0)
			written <- err
		}()
		for _, op := range operations(t, m) {
			if op.reads {
				inTime(t, op.name, op.do)
			}
		}
		select {
		case err := <-written:
			t.Fatalf("WriteAt did not wait: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		s.release()
		must(t, <-committed)
		must(t, <-written)
		wantFile(t, name, data)
		must(t, m.Close())
	})
}

// An operation that must not wait for a disk.
type operation struct {
	name  string
	reads bool
	do    func()
}

// operations is what can be done with m, of more than 90 000 bytes, beside a commit.
func operations(t testing.TB, m *snapshot.MmapMut) []operation {
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	return []operation{
		{"ReadAt", true, func() {
			_, err := m.ReadAt(make([]byte, 10_000), 70_000)
			check(err)
		}},
		{"View", true, func() {
			check(m.View(0, 50_000, func(b []byte) error { return nil }))
		}},
		{"a store in a View", true, func() {
			check(m.View(60_000, 10, func(b []byte) error { b[0]++; b[0]--; return nil }))
		}},
		{"Size", true, func() { _ = m.Size() }},
		{"Bytes", true, func() { _ = m.Bytes() }},
		{"Method", true, func() { _ = m.Method() }},
		{"Stat", true, func() { _, err := m.Stat(); check(err) }},
		{"Prefetch", true, func() { check(m.Prefetch(0, -1)) }},
		{"WriteAt", false, func() {
			_, err := m.WriteAt(make([]byte, 10_000), 50_000)
			check(err)
		}},
		{"Resize", false, func() {
			check(m.Resize(3 << 20)) // moves
			check(m.Resize(99_000))
		}},
		{"ReadAt after Resize", false, func() {
			_, err := m.ReadAt(make([]byte, 10_000), 80_000)
			check(err)
		}},
	}
}

// Close waits for a commit, and a second commit for the first, as their docs say.
//
//promise:snapshot.MmapMut.Commit a second commit waits for the first
//promise:snapshot.MmapMut.Close Close waits for a commit
func TestCloseWaitsForTheCommit(t *testing.T) {
	mounttest.Leaks(t)
	name := join(mounttest.Dir(t, mounttest.Host), "f")
	write(t, name, []byte("old"))
	m := openMut(t, name)
	must(t, m.Resize(2))
	s := slow(t, "fsync", 1)
	results := make(chan error, 2)
	go func() { results <- m.Commit() }()
	<-s.entered
	go func() { results <- m.Close() }()
	select {
	case err := <-results:
		t.Fatalf("one did not wait: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	s.release()
	must(t, <-results)
	must(t, <-results)
	wantFile(t, name, []byte("ol"))
	if err := m.Commit(); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
}

// How long ReadAt takes beside durable commits, on a disk: a measurement, for the log.
func TestReadAtBesideCommits(t *testing.T) {
	mounttest.EachOf(t, mounttest.Disk, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		size := mounttest.Count(8, 64, 64) << 20
		name := join(dir, "f")
		data := noise(1, size)
		write(t, name, data)
		m := openMut(t, name)
		must(t, m.Prefetch(0, -1))
		// Dirties every page, with what is there: so that every ReadAt can be checked.
		dirty := func() {
			for off := 0; off < size; off += 1 << 20 {
				_, err := m.WriteAt(data[off:off+1<<20], int64(off))
				must(t, err)
			}
		}
		dirty()
		must(t, m.Commit())
		rounds := mounttest.Count(1, 5, 50)
		alone := latencies(t, m, data, func() { time.Sleep(time.Duration(rounds) * 100 * time.Millisecond) })
		var commits time.Duration
		beside := latencies(t, m, data, func() {
			for range rounds {
				dirty()
				start := time.Now()
				must(t, m.Commit())
				commits += time.Since(start)
			}
		})
		t.Logf("%d MiB dirty, a commit takes %v; ReadAt of 4 KiB alone: %v; beside: %v",
			size>>20, (commits / time.Duration(rounds)).Round(time.Millisecond), alone, beside)
		must(t, m.Close())
	})
}

// latencies measures ReadAt while f runs.
func latencies(t *testing.T, m *snapshot.MmapMut, data []byte, f func()) string {
	t.Helper()
	var stop atomic.Bool
	var all []time.Duration
	var reader sync.WaitGroup
	begun := make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	reader.Go(func() {
		defer begin() // also if it fails
		p := make([]byte, 4096)
		for off := 0; !stop.Load(); off = (off + 5<<12) % len(data) {
			start := time.Now()
			_, err := m.ReadAt(p, int64(off))
			all = append(all, time.Since(start))
			if err != nil {
				t.Error(err)
				return
			}
			wantBytes(t, "ReadAt", p, data[off:off+len(p)])
			begin()
			runtime.Gosched() // or f waits for a processor, if there is one alone
		}
	})
	defer reader.Wait()
	defer stop.Store(true)
	<-begun
	f()
	stop.Store(true)
	reader.Wait()
	slices.Sort(all)
	if len(all) == 0 {
		t.Fatal("nothing was read")
	}
	at := func(q int) time.Duration { return all[len(all)*q/1000] }
	return fmt.Sprintf("%d reads, median %v, p99 %v, p99.9 %v, max %v", len(all), at(500), at(990), at(999), all[len(all)-1])
}
