package snapshot_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// failLater makes the next question for failures fail, and none after it.
func failLater(t *testing.T, err error) (undo func()) {
	t.Helper()
	var once sync.Once
	return systest.Intercept(t, func(call string) (result error) {
		if call == "writebackfailed" {
			once.Do(func() { result = os.NewSyscallError("sync_file_range", err) })
		}
		return result
	})
}

// readAside reads 4 KiB at off in another goroutine. It gives up if the read waits, as for the
// goroutine that calls it.
func readAside(m reader, off int64) error {
	done := make(chan error, 1)
	go func() {
		_, err := m.ReadAt(make([]byte, 4096), off)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		return errors.New("the read waits")
	}
}

// Each read of pages that are not known to be in memory asks once, also if the last one is a moment
// ago. Reads of pages that are known to be there do not ask, and reads of a reflink never do.
//
//promise:snapshot.Mmap.ReadAt a read of pages not known to be in memory asks for lost pages once
func TestReadsAskForLostPages(t *testing.T) {
	const pages, size = 20, 20 * 4096
	privateFiles(t) // memory is asked for nothing
	mounttest.Each(t, func(t *testing.T, dir string) {
		name := join(dir, "f")
		write(t, name, noise(1, size))
		for _, m := range []reader{open(t, name), openMut(t, name)} {
			want := pages
			if _, ok := m.(*snapshot.Mmap); ok && m.Method() == snapshot.Reflink {
				want = 0
			}
			release := mapped.HoldSweeper()
			calls := systest.CountCalls(t)
			read := func() {
				for off := int64(0); off < size; off += 4096 {
					_, err := m.ReadAt(make([]byte, 4096), off)
					must(t, err)
				}
			}
			read()
			if n := calls("writebackfailed"); n != want {
				t.Errorf("%T, %v: %d questions, want %d", m, m.Method(), n, want)
			}
			read()
			must(t, m.View(0, size, func([]byte) error { return nil }))
			if n := calls("writebackfailed"); n != want {
				t.Errorf("%T, %v: %d questions in reads of pages in memory", m, m.Method(), n-want)
			}
			release()
			must(t, m.Close())
		}
	})
}

// A read that asks at any time, even while a commit does, and gets the one report there is, makes
// the commit fail.
//
//promise:snapshot.MmapMut.Commit if a read got the report of a failed writeback, the commit fails
func TestReadGetsReportOfCommit(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 1<<20)
		write(t, name, data)
		for _, call := range []string{"writeback", "writebackerr"} {
			m := openMut(t, name)
			_, err := m.WriteAt([]byte("new"), 0)
			must(t, err)
			reading := false
			systest.Intercept(t, func(c string) error {
				if c == call && !reading {
					reading = true
					defer failLater(t, syscall.ENOSPC)()
					if err := readAside(m, 8192); !errors.Is(err, syscall.ENOSPC) {
						t.Errorf("ReadAt: %v", err)
					}
				}
				return nil
			})
			if err := m.Commit(); !errors.Is(err, syscall.ENOSPC) || !reading {
				t.Errorf("Commit: %v; a read ran: %v", err, reading)
			}
			must(t, m.Close())
		}
		wantFile(t, name, data)
	})
}

// While a commit waits for the disk, reads do not wait.
//
//promise:snapshot.MmapMut.Commit while it waits for the disk, reads of other pages go on
func TestReadsGoOnDuringWriteback(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		name := join(dir, "f")
		write(t, name, noise(1, 1<<20))
		for i, call := range []string{"writeback", "writebackerr"} {
			m := openMut(t, name)
			undo := systest.Intercept(t, func(c string) error {
				if c == call {
					must(t, readAside(m, int64(i+1)*8192))
				}
				return nil
			})
			must(t, m.Commit())
			undo()
			must(t, m.Close())
		}
	})
}

// CommitAndClose relies on fsync(2) to report a failed writeback. Nothing asks before it does.
//
//promise:snapshot.MmapMut.CommitAndClose no sweep gets the report that its fsync waits for
func TestSweepDuringCommitAndClose(t *testing.T) {
	dir := mounttest.Dir(t, mounttest.Known)
	name := join(dir, "f")
	write(t, name, noise(1, 100_000))
	defer mapped.HoldSweeper()()
	m := openMut(t, name)
	_, err := m.WriteAt([]byte("new"), 0)
	must(t, err)
	asked, swept := 0, 0
	systest.Intercept(t, func(call string) error {
		switch call {
		case "fsync":
			swept++
			mapped.Sweep()
		case "writebackfailed":
			asked++
		}
		return nil
	})
	mapped.Sweep()
	before := asked
	must(t, m.CommitAndClose())
	if before == 0 || swept == 0 || asked != before {
		t.Errorf("%d questions before, %d during %d sweeps", before, asked-before, swept)
	}
}

// If a sandbox refuses sync_file_range(2), reads go on, and commits fail without harm. An error of
// the disk of the same kind is reported once, and is none of the sandbox.
//
//promise:snapshot.Mmap.ReadAt if a sandbox refuses sync_file_range, reads go on
func TestSandboxRefusesQuestions(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		name := join(dir, "f")
		data := noise(1, 100_000)
		write(t, name, data)
		for _, errno := range []syscall.Errno{syscall.ENOSYS, syscall.EPERM} {
			mounttest.OnThread(t, func() error {
				must(t, mounttest.Refuse(unix.SYS_SYNC_FILE_RANGE, errno))
				m := openMut(t, name)
				for _, m := range []reader{open(t, name), m} {
					for range 3 {
						p := make([]byte, len(data))
						_, err := m.ReadAt(p, 0)
						must(t, err)
						wantBytes(t, "contents", p, data)
					}
				}
				for range 2 {
					wantError(t, m.Commit(), errno, "commit "+name+": sync_file_range: "+errno.Error())
				}
				_, err := m.ReadAt(make([]byte, 4096), 0)
				return err
			})
		}
		m := openMut(t, name)
		undo := failLater(t, syscall.EPERM)
		_, err := m.ReadAt(make([]byte, 4096), 0)
		undo()
		if err := errors.Join(err, m.Commit()); !errors.Is(err, syscall.EPERM) {
			t.Error(err)
		}
	})
}

// Dirty pages that the disk refused can be a hole afterwards: a call that finds a hole asks for
// failures, as a read does.
//
//promise:snapshot.Mmap.SeekData if the disk refused the private copy, the error says so
//promise:snapshot.Mmap.SeekHole if the disk refused the private copy, the error says so
//promise:snapshot.MmapMut.SeekData if the disk refused what was stored, the error says so
//promise:snapshot.MmapMut.SeekHole if the disk refused what was stored, the error says so
//promise:snapshot.Mmap.Changed if the disk refused a private copy, Changed is an error, also at holes
func TestSeekAsksForLostPages(t *testing.T) {
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, nil)
		must(t, os.Truncate(name, 1<<20))
		copied := func() *snapshot.Mmap { // on another filesystem, so that it is no reflink
			there := mounttest.Dir(t, mounttest.Memory)
			defer tmpfiles(t, 1, syscall.EACCES)()
			m, err := snapshot.Config{TempDir: there}.Open(context.Background(), name)
			must(t, err)
			closeLater(t, m)
			return m
		}
		for what, call := range map[string]func() error{
			"SeekData":     func() error { _, err := copied().SeekData(0); return err },
			"SeekHole":     func() error { _, err := copied().SeekHole(0); return err },
			"SeekData mut": func() error { _, err := openMut(t, name).SeekData(0); return err },
			"SeekHole mut": func() error { _, err := openMut(t, name).SeekHole(0); return err },
			"Changed": func() (last error) {
				for _, err := range copied().Changed(context.Background(), copied()) {
					last = err
				}
				return last
			},
		} {
			undo := failLater(t, syscall.EIO)
			if err := call(); !errors.Is(err, syscall.EIO) {
				t.Errorf("%s: %v", what, err)
			}
			undo()
		}
	})
}
