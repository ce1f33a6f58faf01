package lease

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// size is that of the files of these tests: not small.
const size = 1 << 20

// within is how long a test waits for something that takes milliseconds.
const within = 30 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// filled returns size bytes, each of which is b.
func filled(b byte) []byte { return bytes.Repeat([]byte{b}, size) }

// newFile makes a file of size bytes 'A' where leases serve, on a filesystem without reflinks.
func newFile(t testing.TB) string {
	t.Helper()
	name := filepath.Join(mounttest.Dir(t, mounttest.Disk|mounttest.NoReflinks), "f")
	must(t, os.WriteFile(name, filled('A'), 0o644))
	return name
}

// tryOpen is Open of a name, which gives everything back if it fails.
func tryOpen(ctx context.Context, t testing.TB, name string, o privatefile.Options) (*Snapshot, error) {
	t.Helper()
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	return openFD(ctx, t, fd, filepath.Dir(name), o)
}

func openFD(
	ctx context.Context, t testing.TB, fd int, dir string, o privatefile.Options,
) (*Snapshot, error) {
	t.Helper()
	st, err := syscalls.Fstat(fd)
	must(t, err)
	dirFD := pathname.NoDir
	s, took, err := Open(ctx, privatefile.Source{FD: fd, Exclusive: true, Stat: st, Dir: func() int {
		if dir != "" {
			dirFD, err = syscalls.OpenDir(syscalls.AtFdcwd, dir)
			must(t, err)
		}
		return dirFD
	}}, o)
	if !took {
		must(t, syscalls.Close(fd))
	}
	if dirFD != pathname.NoDir && s == nil {
		must(t, syscalls.Close(dirFD))
	}
	return s, err
}

var inMemory = privatefile.Options{InMemory: true}

// open opens a snapshot that the test closes, if nothing else does.
func openLeased(t testing.TB, name string) *Snapshot {
	t.Helper()
	s, err := tryOpen(context.Background(), t, name, inMemory)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// read reads all of a snapshot.
func read(s *Snapshot) ([]byte, error) {
	p := make([]byte, s.Stat().Size)
	if s.TryRead(p, 0) {
		return p, nil
	}
	err := s.Do(func(r *mapped.Region) error {
		_, err := r.ReadAt(p, 0)
		return err
	})
	return p, err
}

// wantAll checks that all bytes of a snapshot are b.
func wantAll(t testing.TB, s *Snapshot, b byte) {
	t.Helper()
	got, err := read(s)
	must(t, err)
	if !bytes.Equal(got, filled(b)) {
		t.Fatalf("other bytes than %q: %d of %d", b, len(got)-bytes.Count(got, []byte{b}), len(got))
	}
}

// warm makes TryRead use the mapping of all of a snapshot.
func warm(t testing.TB, s *Snapshot) {
	t.Helper()
	must(t, s.Do(func(r *mapped.Region) error { return r.Prefetch(0, size) }))
	wantAll(t, s, 'A')
}

// overwrite opens a file for writing, which can wait, and fills it with b.
func overwrite(name string, b byte) (done chan error) {
	done = make(chan error, 1)
	go func() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.Write(filled(b))
			_ = f.Close()
		}
		done <- err
	}()
	return done
}

// await returns what comes from the channel.
func await[T any](t testing.TB, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(within):
		t.Fatal("nothing happens")
	}
	return v
}

// waitUntil waits until a condition holds.
func waitUntil(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for begin := time.Now(); !holds(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > within {
			t.Fatal("not so: ", what)
		}
	}
}

// canWrite reports whether a file can be opened for writing without a wait.
func canWrite(t testing.TB, name string) bool {
	t.Helper()
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		must(t, unix.Close(fd))
	}
	return err == nil
}

// setClock replaces the clock of reads until the test ends.
func setClock(t testing.TB, c func() time.Duration) {
	old := readClock
	readClock = c
	t.Cleanup(func() { readClock = old })
}

// seemWhole has the clock say that a look has just found the lease whole: as if no time had passed.
func seemWhole(t testing.TB, s *Snapshot) {
	at := time.Duration(s.st.wholeAt.Load())
	setClock(t, func() time.Duration { return at })
}

// expire removes the lease behind the back of the package, as the kernel does when its time is over.
func expire(t testing.TB, s *Snapshot) {
	t.Helper()
	must(t, s.st.withFD(func(fd int) error { return syscalls.SetLease(fd, syscalls.NoLease) }))
}

// dropSignals lets the kernel send no signal when the lease is broken.
func dropSignals(t testing.TB, s *Snapshot) {
	t.Helper()
	must(t, s.st.withFD(func(fd int) error {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETOWN, 0)
		return err
	}))
}
