package snapshot_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// increment adds one to the number in the file, n times, each time with a snapshot of its own,
// and starts anew after a conflict.
func increment(name string, n int, commit func(m *snapshot.MmapMut) error) (conflicts int, err error) {
	for range n {
		for {
			m, err := checking.OpenMut(context.Background(), name)
			if err != nil {
				return conflicts, err
			}
			b := m.Bytes()
			binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)+1)
			err = commit(m)
			_ = m.Close()
			if err == nil {
				break
			}
			if !errors.Is(err, snapshot.ErrConflict) && !errors.Is(err, syscall.EAGAIN) {
				return conflicts, err
			}
			conflicts++
		}
	}
	return conflicts, nil
}

const incrementEnv = "SNAPSHOT_TEST_INCREMENT"

// Of many who count up one number, in two processes, none loses a step.
//
//promise:snapshot.Config.CheckConflict programs of this library on one machine lose no update
func TestNoLostUpdate(t *testing.T) {
	if name := os.Getenv(incrementEnv); name != "" {
		n, _ := strconv.Atoi(os.Getenv(incrementEnv + "_N"))
		if _, err := increment(name, n, (*snapshot.MmapMut).Commit); err != nil {
			t.Fatal(err)
		}
		return
	}
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "number")
		write(t, name, make([]byte, 8))
		n := mounttest.Count(8, 60, 2500)
		child := exec.Command("/proc/self/exe", "-test.run=^TestNoLostUpdate$", "-test.count=1")
		child.Env = append(os.Environ(), incrementEnv+"="+name, incrementEnv+"_N="+strconv.Itoa(n))
		child.Stderr = os.Stderr
		child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		must(t, child.Start())
		var all sync.WaitGroup
		var conflicts atomic.Int64
		for i := range 3 {
			all.Go(func() {
				c, err := increment(name, n, ways[i].do)
				if err != nil {
					t.Error(err)
				}
				conflicts.Add(int64(c))
			})
		}
		all.Wait()
		must(t, child.Wait())
		got, err := os.ReadFile(name)
		must(t, err)
		if v := binary.LittleEndian.Uint64(got); v != uint64(4*n) {
			t.Errorf("%d steps became %d", 4*n, v)
		}
		wantNames(t, dir, "number")
		t.Logf("%d conflicts in %d commits", conflicts.Load(), 4*n)
	})
}

// A commit that checks does not overwrite one that does not check, either, if that one got the lock
// of the directory.
//
//promise:snapshot.Config.CheckConflict an unchecked commit that had the lock is not overwritten
func TestNoLostDefaultCommit(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, make([]byte, 16))
		stop := make(chan struct{})
		var checkers sync.WaitGroup
		for range 2 {
			checkers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					time.Sleep(time.Millisecond) // a default commit goes on without the lock after half a second
					m, err := checking.OpenMut(context.Background(), name)
					if err != nil {
						t.Error(err)
						return
					}
					m.Bytes()[8]++ // keeps the first number as it found it
					if err := m.Commit(); err != nil && !errors.Is(err, snapshot.ErrConflict) && !errors.Is(err, syscall.EAGAIN) {
						t.Error(err)
					}
					_ = m.Close()
				}
			})
		}
		for i := range uint64(mounttest.Count(20, 250, 10000)) {
			m, err := snapshot.OpenMut(name)
			must(t, err)
			if got := binary.LittleEndian.Uint64(m.Bytes()); got != i {
				t.Errorf("commit %d was overwritten: %d", i, got)
			}
			binary.LittleEndian.PutUint64(m.Bytes(), i+1)
			must(t, m.Commit())
			must(t, m.Close())
		}
		close(stop)
		checkers.Wait()
		wantNames(t, dir, "f")
	})
}
