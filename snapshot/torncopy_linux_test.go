package snapshot_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// A save writes a version of the file, tornSize bytes that are all of that version, in pieces.
const (
	tornSize  = 1 << 20
	tornPiece = 64 << 10
)

func version(v uint32) []byte {
	return bytes.Repeat(binary.LittleEndian.AppendUint32(nil, v), tornPiece/4)
}

func save(f *os.File, v uint32) error {
	piece := version(v)
	for off := int64(0); off < tornSize; off += tornPiece {
		if _, err := f.WriteAt(piece, off); err != nil {
			return err
		}
	}
	return nil
}

// isTorn reports whether a copy mixes versions.
func isTorn(t *testing.T, m *snapshot.Mmap) (torn bool) {
	must(t, m.View(0, -1, func(b []byte) error {
		if len(b) != tornSize {
			t.Errorf("%d bytes", len(b))
		}
		for off := 0; off < len(b); off += 4096 {
			torn = torn || !bytes.Equal(b[off:off+4], b[:4])
		}
		return nil
	}))
	return torn
}

// beside runs a writer in the background, which is called again and again with a new version,
// until the test ends or stop is called.
func beside(t *testing.T, writer func(v uint32) error) (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for v := uint32(1); ; v++ {
			select {
			case <-end:
				return
			default:
				if err := writer(v); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	stop = sync.OnceFunc(func() { close(end); <-done })
	t.Cleanup(stop)
	return stop
}

// closing returns a writer that opens the file, saves it, closes it and takes a rest.
func closing(name string) func(v uint32) error {
	return func(v uint32) error {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer time.Sleep(time.Duration(v%8) * 200 * time.Microsecond)
		return errors.Join(save(f, v), f.Close())
	}
}

// opens opens the file until there are n copies of the method, or a hundred times as many tries.
func opens(t *testing.T, c snapshot.Config, name string, method snapshot.Method, n int) outcome {
	t.Helper()
	got := outcome{map[snapshot.Method]int{}, map[snapshot.Method]int{}, 0}
	for try := 0; got.copies[method] < n && try < 100*n; try++ {
		m, err := c.Open(context.Background(), name)
		if errors.Is(err, snapshot.ErrUnstable) {
			got.unstable++
			continue
		}
		must(t, err)
		got.copies[m.Method()]++
		if isTorn(t, m) {
			got.torn[m.Method()]++
		}
		must(t, m.Close())
	}
	t.Logf("copies %v, torn %v, given up %d", got.copies, got.torn, got.unstable)
	return got
}

func newTornFile(t *testing.T, dir string) string {
	name := join(dir, "f")
	write(t, name, make([]byte, tornSize))
	return name
}

// Beside a program that opens a file, saves it by many writes and closes it, again and again, no
// LeasedCopy is torn. The lease alone sees to that: it is so, too, if times are not compared.
// Without the lease and the times copies are torn, or this test would prove nothing.
//
//promise:snapshot.LeasedCopy the copy is untorn beside a program that saves by many writes
func TestTornLeasedCopies(t *testing.T) { smallAndPrivate(t, tornLeasedCopies) }

func tornLeasedCopies(t *testing.T) {
	n := mounttest.Count(25, 500, 10000)
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := newTornFile(t, dir)
		t.Run("as it is", func(t *testing.T) {
			beside(t, closing(name))
			got := opens(t, snapshot.Config{}, name, snapshot.LeasedCopy, n)
			if got.copies[snapshot.LeasedCopy] < n || got.torn[snapshot.LeasedCopy] > 0 {
				t.Errorf("%+v", got)
			}
		})
		t.Run("by the lease alone", func(t *testing.T) {
			systest.IgnoreTimes(t)
			beside(t, closing(name))
			got := opens(t, snapshot.Config{RequireConsistent: true}, name, snapshot.LeasedCopy, n)
			if got.copies[snapshot.LeasedCopy] < n || got.torn[snapshot.LeasedCopy] > 0 {
				t.Errorf("%+v", got)
			}
		})
		t.Run("without either", func(t *testing.T) {
			systest.IgnoreTimes(t)
			systest.IgnoreLeases(t)
			beside(t, closing(name))
			for range 100 { // on one processor the writer runs seldom in the middle of a copy
				got := opens(t, snapshot.Config{RequireConsistent: true}, name, snapshot.LeasedCopy, 100)
				if got.torn[snapshot.LeasedCopy] > 0 {
					return
				}
			}
			t.Error("nothing is torn")
		})
	})
}

// Beside a program that keeps the file open and saves it by one system call, a copy is untorn or
// there is none, within ten attempts. (One that saves by several can be caught between two, when
// nothing shows that there is more to come.)
//
//promise:snapshot.ComparedCopy the copy is untorn beside single write(2) calls through the page cache
func TestTornComparedCopies(t *testing.T) { smallAndPrivate(t, tornComparedCopies) }

func tornComparedCopies(t *testing.T) {
	n := mounttest.Count(25, 500, 10000)
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		if !finelyTimed(t, dir) {
			t.Skip("this kernel gives the times of files in ticks (before Linux 6.13)")
		}
		name := newTornFile(t, dir)
		f := openFile(t, name, os.O_WRONLY)
		stop := beside(t, func(v uint32) error {
			time.Sleep(time.Duration(v%64) * 20 * time.Microsecond)
			_, err := f.WriteAt(bytes.Repeat(version(v), tornSize/tornPiece), 0)
			return err
		})
		attempts, most := 0, 0
		systest.Intercept(t, func(call string) error {
			switch call {
			case "tmpfile excl":
				attempts = 0
			case "seekdata":
				attempts++
				most = max(most, attempts)
			}
			return nil
		})
		got := opens(t, snapshot.Config{}, name, snapshot.ComparedCopy, n)
		if got.torn[snapshot.ComparedCopy] > 0 || got.copies[snapshot.LeasedCopy] > 0 || got.copies[snapshot.ComparedCopy] < n {
			t.Errorf("%+v", got)
		}
		if most > 10 {
			t.Errorf("%d attempts", most)
		}
		_, err := snapshot.Config{RequireConsistent: true}.Open(context.Background(), name)
		if !errors.Is(err, snapshot.ErrUnstable) {
			t.Error(err)
		}
		stop()
	})
}

// Beside a program that stores through a mapping RequireConsistent refuses.
//
//promise:snapshot.Config.RequireConsistent beside stores through a mapping Open fails
func TestTornByMapping(t *testing.T) {
	systest.NoPauses(t)
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := newTornFile(t, dir)
		f := openFile(t, name, os.O_RDWR)
		mem, err := unix.Mmap(int(f.Fd()), 0, tornSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		must(t, err)
		must(t, f.Close())
		stop := beside(t, func(v uint32) error {
			piece := version(v)
			for off := 0; off < tornSize; off += tornPiece {
				copy(mem[off:], piece)
			}
			return nil
		})
		for range mounttest.Count(2, 10, 100) {
			_, err := snapshot.Config{RequireConsistent: true}.Open(context.Background(), name)
			if !errors.Is(err, snapshot.ErrUnstable) {
				t.Error(err)
			}
		}
		if got := opens(t, snapshot.Config{}, name, snapshot.LeasedCopy, 1); got.copies[snapshot.LeasedCopy] > 0 {
			t.Errorf("%+v", got)
		}
		stop()
		must(t, unix.Munmap(mem))
	})
}

// The copy of a file that takes long and changes each time is tried twice at least, and not again
// once five seconds have passed.
//
//promise:snapshot.ErrUnstable after five seconds Open makes no third attempt
func TestCopyRetriesAreBounded(t *testing.T) {
	privateFiles(t)
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		for pause, want := range map[time.Duration]int{6 * time.Second: 2, 1700 * time.Millisecond: 3} {
			name := join(dir, "f")
			write(t, name, noise(1, 1000))
			f := openFile(t, name, os.O_RDWR)
			tries := 0
			c := snapshot.Config{Progress: func(done, total int64) {
				if tries++; tries%2 == 0 { // the end is told of twice
					return
				}
				time.Sleep(pause)
				_, err := f.WriteAt([]byte("x"), 0)
				must(t, err)
			}}
			var err error
			synctest.Test(t, func(*testing.T) { // where only Sleep takes time, and at once
				_, err = c.Open(context.Background(), name)
			})
			if !errors.Is(err, snapshot.ErrUnstable) || tries != 2*want {
				t.Errorf("%v after %d copies, want %d", err, tries/2, want)
			}
		}
	})
}

// finelyTimed reports whether each write between two looks at a file shows in its times.
func finelyTimed(t *testing.T, dir string) bool {
	t.Helper()
	f := openFile(t, join(dir, "times"), os.O_RDWR|os.O_CREATE)
	defer f.Close()
	var last, now unix.Stat_t
	for range 100 {
		_, err := f.WriteAt([]byte("x"), 0)
		must(t, err)
		must(t, unix.Fstat(int(f.Fd()), &now))
		if now.Ctim == last.Ctim {
			return false
		}
		last = now
	}
	return true
}
