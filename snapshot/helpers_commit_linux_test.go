package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// ways is every way to make the contents of a MmapMut those of its own file.
var ways = []struct {
	name string
	do   func(m *snapshot.MmapMut) error
}{
	{"Commit", (*snapshot.MmapMut).Commit},
	{"CommitContext", func(m *snapshot.MmapMut) error { return m.CommitContext(context.Background()) }},
	{"CommitAndClose", (*snapshot.MmapMut).CommitAndClose},
	{"CommitTo", func(m *snapshot.MmapMut) error { return m.CommitTo(m.Name()) }},
	{"CommitNamed", func(m *snapshot.MmapMut) error { // by a temporary name from the start
		defer systest.NoTmpfile()()
		return m.Commit()
	}},
}

// eachWay runs f on every filesystem for every way to commit.
func eachWay(t *testing.T, f func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error)) {
	mounttest.Each(t, func(t *testing.T, dir string) { eachWayIn(t, dir, f) })
}

// eachWayIn runs f for each way of committing, in a directory of its name in dir.
func eachWayIn(t *testing.T, dir string, f func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error)) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			mounttest.Leaks(t)
			dir := join(dir, way.name)
			must(t, os.Mkdir(dir, 0o755))
			f(t, dir, way.do)
		})
	}
}

func isCommitTo(dir string) bool { return filepath.Base(dir) == "CommitTo" }

var checking = snapshot.Config{CheckConflict: true}

var inPlace = snapshot.Config{InPlace: true}

// commitOne makes a file, and changes it with each of the ways to commit.
func commitOne(name string) error {
	m, err := snapshot.Create(name)
	if err != nil {
		return err
	}
	defer m.Close()
	_, err = m.WriteGrow([]byte("one"), 0)
	if err = errors.Join(err, m.Commit(), os.Chmod(name, 0o600), m.Commit(), m.CommitAndClose()); err != nil {
		return err
	}
	fi, err := os.Stat(name)
	if err == nil && (fi.Size() != 3 || fi.Mode() != 0o600) {
		err = fmt.Errorf("%s: %d bytes, %v", name, fi.Size(), fi.Mode())
	}
	return errors.Join(err, os.Remove(name))
}

// appendTo appends pieces of n bytes until all of data is there.
func appendTo(t *testing.T, m *snapshot.MmapMut, data []byte, n int) {
	t.Helper()
	for off := m.Size(); off < int64(len(data)); off += int64(n) {
		if _, err := m.WriteGrow(data[off:min(off+int64(n), int64(len(data)))], off); err != nil {
			t.Fatal(err)
		}
	}
}

// failEach runs f again and again, each time with the next call of the kernel failing by errno
// that is made between f's calls of arm and of disarm, until f needs no more calls than that.
// disarm returns the name of the call that failed, "" if none did.
func failEach(t *testing.T, errno syscall.Errno, f func(arm func(), disarm func() string)) {
	t.Helper()
	var left atomic.Int64
	var name atomic.Value
	undo := systest.Intercept(t, func(call string) error {
		if left.Add(-1) != 0 {
			return nil
		}
		name.Store(call)
		return errno
	})
	defer undo()
	for k := int64(1); ; k++ {
		name.Store("")
		failed := ""
		f(func() { left.Store(k) }, func() string {
			left.Store(0)
			failed = name.Load().(string)
			return failed
		})
		if t.Failed() {
			t.Fatalf("call %d, %s, failed by %v", k, failed, errno)
		}
		if failed == "" {
			if k < 5 {
				t.Errorf("only %d calls were made", k)
			}
			return
		}
	}
}

// breaks reports whether a failure may mean that what was stored is lost to the disk. A call of
// fsync, short of one that is answered with ErrNotDurable, is of the private file in
// CommitAndClose, and else of a copy that can be made again.
func breaks(call string, errno syscall.Errno, m *snapshot.MmapMut, self bool) bool {
	switch call {
	case "writeback", "writebackerr", "writebackfailed":
		return true
	case "fsync":
		return self
	case "ficlone":
		return errno == syscall.EIO
	case "seekdata", "seekhole", "pread": // not ftruncate, which is of the copy
		return errno == syscall.EIO && m.Method() != snapshot.Reflink
	}
	return false
}
