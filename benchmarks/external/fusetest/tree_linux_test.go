package fusetest_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
)

func wantErrno(t *testing.T, what string, err error, want syscall.Errno) {
	t.Helper()
	if want == 0 && err != nil || want != 0 && !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// What a tree lacks is what programs are told, in the kernel's words, and what it has reaches it.
func TestTreeLacks(t *testing.T) {
	for _, lacks := range []bool{false, true} {
		var c fusetest.TreeConfig
		noTmpfile, noRename := syscall.Errno(0), syscall.Errno(0)
		if lacks {
			c.Lacks = []string{"TMPFILE", "COPY_FILE_RANGE", "RENAME2"}
			noTmpfile, noRename = syscall.EOPNOTSUPP, syscall.EINVAL
		}
		tree, back := newTree(t, c)
		name := filepath.Join(tree.Dir(), "f")
		data := bytes.Repeat([]byte("data"), 25000)
		must(t, os.WriteFile(name, data, 0o644))
		fd, err := unix.Open(tree.Dir(), unix.O_TMPFILE|unix.O_RDWR, 0)
		wantErrno(t, "O_TMPFILE", err, noTmpfile)
		_ = unix.Close(fd)
		wantErrno(t, "RENAME_NOREPLACE", unix.Renameat2(-100, name, -100, name+"2", unix.RENAME_NOREPLACE), noRename)
		if lacks {
			must(t, os.Rename(name, name+"2"))
		}
		tree.Requests(t)
		f, err := os.Open(name + "2")
		must(t, err)
		to, err := os.Create(name)
		must(t, err)
		n, err := unix.CopyFileRange(int(f.Fd()), nil, int(to.Fd()), nil, len(data), 0)
		if n != len(data) || err != nil {
			t.Error(n, err) // the kernel reads and writes, if it has to
		}
		if got := tree.Requests(t).Got; (got["WRITE"] > 0) != lacks || got["COPY_FILE_RANGE"] == 0 {
			t.Error(got)
		}
		must(t, errors.Join(f.Close(), to.Close()))
		got, err := os.ReadFile(filepath.Join(back, "f"))
		if err != nil || !bytes.Equal(got, data) {
			t.Error(err)
		}
	}
}

// Each kind of trouble comes as it is asked for, and ends with Heal.
func TestTreeTroubles(t *testing.T) {
	tree, back := newTree(t, fusetest.TreeConfig{})
	name := filepath.Join(back, "f")
	data := bytes.Repeat([]byte("data"), 1<<18)
	must(t, os.WriteFile(name, data, 0o644))
	name = filepath.Join(tree.Dir(), "f")
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	evict(t, f)

	tree.FailReads(t, fusetest.Range{Off: 40*page + 5, Len: 1})
	wantPages(t, f, data, map[int]bool{40: true})
	tree.Heal(t)
	wantPages(t, f, data, nil)

	const delay = 100 * time.Millisecond
	evict(t, f)
	tree.Delay(t, delay)
	start := time.Now()
	_, err = f.ReadAt(make([]byte, page), 0)
	must(t, err)
	if took := time.Since(start); took < delay {
		t.Errorf("read in %v", took)
	}
	evict(t, f)
	tree.Heal(t)
	tree.HoldReads(t, fusetest.Range{Off: 0, Len: 61 * page})
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() { _, _ = f.ReadAt(make([]byte, page), int64(i*20*page)) })
	}
	tree.WaitHeld(t, 4)
	_, err = f.ReadAt(make([]byte, page), 62*page)
	must(t, err)
	tree.Heal(t)
	readers.Wait()
	tree.Fail(t, syscall.ENOSPC, "WRITE")
	_, err = f.WriteAt([]byte("x"), 0)
	wantErrno(t, "write", err, syscall.ENOSPC)
	tree.Heal(t)
	_, err = f.WriteAt(data[:1], 0)
	wantErrno(t, "write", err, 0)
	tree.FailNth(t, 1, syscall.EDQUOT)
	wantErrno(t, "chmod", f.Chmod(0o600), syscall.EDQUOT)
	wantErrno(t, "chmod", f.Chmod(0o600), 0)
	if r := tree.Requests(t); r.Bad != "SETATTR" {
		t.Error(r)
	}
}

// A server that dies leaves nobody waiting, and has done what it was asked or not.
func TestTreeDies(t *testing.T) {
	for when, done := range map[string]bool{fusetest.DieBefore: false, fusetest.DieAfter: true} {
		tree, back := newTree(t, fusetest.TreeConfig{})
		tree.DieAt(t, "CREATE", when)
		must(t, os.Mkdir(filepath.Join(tree.Dir(), "d"), 0o755))
		wantErrno(t, when, os.WriteFile(filepath.Join(tree.Dir(), "f"), nil, 0o644), syscall.ECONNABORTED)
		_, err := os.ReadDir(tree.Dir())
		wantErrno(t, when, err, syscall.ENOTCONN)
		if _, err := os.Stat(filepath.Join(back, "f")); (err == nil) != done {
			t.Error(when, err)
		}
	}
}
