package lease

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	ossignal "os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// All snapshots of a file cost a writer one copy, and the last one that is closed gives it back.
func TestShared(t *testing.T) {
	mounttest.Leaks(t)
	name := newFile(t)
	var all []*Snapshot
	for range 200 {
		all = append(all, openLeased(t, name))
	}
	must(t, all[0].Close())
	if _, err := read(all[0]); !errors.Is(err, fs.ErrClosed) {
		t.Error("one is closed, the others are open: ", err)
	}
	calls := systest.CountCalls(t)
	must(t, await(t, overwrite(name, 'B')))
	if made, released := calls("tmpfile excl"), calls("setlease"); made != 1 || released != 1 {
		t.Errorf("%d copies, %d leases given up", made, released)
	}
	for _, s := range all[1:] {
		wantAll(t, s, 'A')
		must(t, s.Close())
	}
	if err := all[1].Close(); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
}

// Snapshots with unequal configurations share nothing: each gets its copy where it wants it.
func TestNotShared(t *testing.T) {
	mounttest.Leaks(t)
	name := newFile(t)
	a := openLeased(t, name)
	b, err := tryOpen(context.Background(), t, name, privatefile.Options{InMemory: true, TempDir: t.TempDir()})
	must(t, err)
	if a.st == b.st {
		t.Error("they share a state")
	}
	must(t, await(t, overwrite(name, 'B')))
	wantAll(t, a, 'A')
	wantAll(t, b, 'A')
	must(t, b.Close())
}

// A snapshot that shares a state describes the file as it is when that snapshot is opened: chmod(2)
// does not end the lease.
func TestSharedStat(t *testing.T) {
	mounttest.Leaks(t)
	name := newFile(t)
	a := openLeased(t, name)
	must(t, os.Chmod(name, 0o600))
	b := openLeased(t, name)
	if a.st != b.st {
		t.Error("they share no state")
	}
	if a.Stat().Mode != 0o644 || b.Stat().Mode != 0o600 {
		t.Errorf("modes %v and %v", a.Stat().Mode, b.Stat().Mode)
	}
}

// A file that was changed in spite of the lease is not shared with a new snapshot.
func TestChangedIsNotShared(t *testing.T) {
	mounttest.Leaks(t)
	name := newFile(t)
	a := openLeased(t, name)
	expire(t, a)
	must(t, await(t, overwrite(name, 'B')))
	b := openLeased(t, name)
	if b.st == a.st {
		t.Error("they share a state")
	}
	wantAll(t, b, 'B')
}

// Close gives the lease up at once, whoever else has the descriptor, and whatever goes on.
func TestCloseReleases(t *testing.T) {
	t.Run("a child has the descriptor", func(t *testing.T) {
		mounttest.Leaks(t)
		name := newFile(t)
		s := openLeased(t, name)
		child := exec.Command("sleep", "1000")
		child.ExtraFiles = []*os.File{s.st.file}
		must(t, child.Start())
		defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
		must(t, s.Close())
		if !canWrite(t, name) {
			t.Error("the lease is still there")
		}
	})
	for what, give := range map[string]func(s **Snapshot){
		"Close":      func(s **Snapshot) { _ = (*s).Close() },
		"collection": func(s **Snapshot) { *s = nil; runtime.GC() },
	} {
		t.Run("while a copy is made/"+what, func(t *testing.T) {
			mounttest.Leaks(t)
			name := newFile(t)
			s, err := tryOpen(context.Background(), t, name, inMemory)
			must(t, err)
			copying, proceed := make(chan bool, 100), make(chan bool)
			systest.Intercept(t, func(call string) error {
				if call == "copy_file_range" {
					copying <- true
					<-proceed
				}
				return nil
			})
			done := overwrite(name, 'B')
			await(t, copying)
			give(&s)
			must(t, await(t, done)) // the copy stands still
			close(proceed)
		})
	}
}

// A snapshot that is dropped gives the lease up when the garbage collector finds it. Memory that
// Bytes returned stays.
func TestCollected(t *testing.T) {
	mounttest.Leaks(t)
	name := newFile(t)
	s, err := tryOpen(context.Background(), t, name, inMemory)
	must(t, err)
	wantAll(t, s, 'A')
	s = nil
	waitUntil(t, "the lease is given up", func() bool { runtime.GC(); return canWrite(t, name) })
}

// Memory that Bytes returned stays when the snapshot is dropped, as that of any snapshot does.
func TestBytesOutliveCollection(t *testing.T) {
	name := newFile(t)
	s, err := tryOpen(context.Background(), t, name, inMemory)
	must(t, err)
	r, err := s.Private()
	must(t, err)
	b := r.Bytes()
	st := s.st
	s, r = nil, nil
	waitUntil(t, "the snapshot is collected", func() bool { runtime.GC(); return st.hasEnded() })
	if systest.Faults(func() { _ = bytes.Clone(b[size-1:]) }) {
		t.Error("the memory is gone")
	}
}

// Nothing is left of snapshots that were opened and closed, not even the watcher.
func TestNothingIsLeft(t *testing.T) {
	mounttest.Leaks(t)
	name := newFile(t)
	wide := name + "2"
	must(t, os.WriteFile(wide, filled('C'), 0o644))
	var open sync.WaitGroup
	for range 4 {
		open.Go(func() {
			for i := range mounttest.Count(250, 2500, 25_000) {
				s, err := tryOpen(context.Background(), t, []string{name, wide}[i%2], inMemory)
				must(t, err)
				if i%10 == 0 {
					_, err := read(s)
					must(t, err)
				}
				must(t, s.Close())
			}
		})
	}
	open.Wait()
	if !canWrite(t, name) || !canWrite(t, wide) {
		t.Error("a lease is left")
	}
	waitUntil(t, "the watcher has ended", func() bool {
		watch.mu.Lock()
		defer watch.mu.Unlock()
		return watch.thread == 0 && len(watch.watched) == 0 && len(watch.newest) == 0 && watch.opening == 0
	})
	wantAll(t, openLeased(t, name), 'A') // and it begins anew
}

// The program gets no signal, and the watcher's thread takes part in what the runtime has all
// threads do.
func TestSignals(t *testing.T) {
	mounttest.Leaks(t)
	got := make(chan os.Signal, 1000)
	ossignal.Notify(got)
	defer ossignal.Stop(got)
	name := newFile(t)
	for range mounttest.Count(5, 50, 500) {
		s := openLeased(t, name)
		must(t, await(t, overwrite(name, 'A')))
		must(t, s.Close())
	}
	s := openLeased(t, name)
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_GETPID, 0, 0, 0); errno != 0 && errno != syscall.ENOTSUP {
		t.Error(errno)
	}
	must(t, s.Close())
	ignored := []os.Signal{syscall.SIGURG, syscall.SIGCHLD, syscall.SIGPROF}
	for len(got) > 0 {
		if sig := <-got; !slices.Contains(ignored, sig) {
			t.Error(sig)
		}
	}
}

// The descriptors are closed when a program is started.
func TestDescriptorsAreNotInherited(t *testing.T) {
	s := openLeased(t, newFile(t))
	for what, fd := range map[string]int{"file": int(s.st.file.Fd()), "directory": s.st.dir} {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Error(what, flags, err)
		}
	}
}

// If no disk can hold the copy, the writer goes on and the snapshot is lost. Without a writer, the
// caller that wants a copy gets the error of the disk, and the snapshot goes on.
func TestDiskFull(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Fresh(t, mounttest.Disk|mounttest.NoReflinks, 32<<20)
	name := filepath.Join(dir, "f")
	f, err := os.Create(name)
	must(t, err)
	b := filled('A')
	for err == nil {
		_, err = f.Write(b)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	must(t, f.Close())
	s, err := tryOpen(context.Background(), t, name, privatefile.Options{})
	must(t, err)
	defer s.Close()
	if _, err := s.Private(); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, privatefile.ErrUnstable) {
		t.Error(err)
	}
	p := make([]byte, 4)
	readAt := func(r *mapped.Region) error { _, err := r.ReadAt(p, 0); return err }
	must(t, s.Do(readAt))
	must(t, await(t, overwrite(name, 'B')))
	if err := s.Do(readAt); !errors.Is(err, privatefile.ErrUnstable) || !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
}
