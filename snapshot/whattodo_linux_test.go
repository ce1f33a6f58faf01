package snapshot_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// The package documentation has a table of errors and of what to do about each. Where an error can
// be had here, what the table says helps; each other row names the test that has the error.
//
//promise:snapshot.ErrConflict to open the file again and to repeat the change helps
//promise:snapshot.ErrUnstable to open the file later helps
//promise:snapshot.ErrNotDurable to commit again helps
func TestWhatToDo(t *testing.T) {
	systest.NoPauses(t)
	known := map[string]string{
		"ErrPermission": "TestErrorTextsOfUser", "EFBIG": "TestLimits", "EDQUOT": "TestQuota",
		"EFAULT": "TestCallerFaults", "ESTALE": "TestInPlaceStaleOnce",
	}
	ran := false
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		ran = true
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 200_000))
		m := openMut(t, name)
		checks := checked(t, name)
		lock := openFile(t, dir, os.O_RDONLY)
		once := func(call string, errno syscall.Errno) func() error {
			return afterFailing(t, call, 1, errno, m.Commit)
		}
		open := func() error {
			m, err := snapshot.Open(name)
			if err == nil {
				err = m.Close()
			}
			return err
		}
		for _, row := range []struct {
			name string
			err  error
			do   func() error
			help func() error
		}{
			{
				"EAGAIN", syscall.EAGAIN,
				func() error {
					must(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))
					defer func() { must(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_UN)) }()
					return checks.Commit()
				},
				checks.Commit,
			},
			{
				"ErrConflict", snapshot.ErrConflict,
				func() error { write(t, name, noise(2, 200_000)); return checks.Commit() },
				func() error { return checked(t, name).Commit() },
			},
			{
				"ErrUnstable", snapshot.ErrUnstable,
				func() error {
					w := openFile(t, name, os.O_RDWR)
					defer w.Close()
					f := openFile(t, name, os.O_RDONLY)
					c := snapshot.Config{RequireConsistent: true}
					_, err := c.FromFile(context.Background(), f)
					if err == nil { // a reflink
						err = snapshot.ErrUnstable
					}
					return err
				},
				func() error {
					_, err := snapshot.Config{RequireConsistent: true}.Open(context.Background(), name)
					return err
				},
			},
			{
				"ErrNotDurable", snapshot.ErrNotDurable,
				afterFailing(t, "fsync", 2, syscall.EIO, m.Commit), m.Commit,
			},
			{
				"EBUSY", syscall.EBUSY,
				func() error { return m.View(0, 1, func([]byte) error { return m.Resize(1) }) },
				func() error { return m.Resize(100_000) },
			},
			{
				"ErrUnsupported", errors.ErrUnsupported,
				func() error {
					defer systest.Intercept(t, func(call string) error {
						if call == "ficlone" {
							return syscall.EOPNOTSUPP
						}
						return nil
					})()
					_, err := snapshot.Config{NoCopy: true}.Open(context.Background(), name)
					return err
				},
				open,
			},
			{"EMFILE", syscall.EMFILE, afterFailing(t, "openpath", 0, syscall.EMFILE, open), open},
			{
				"ENOMEM", syscall.ENOMEM,
				afterFailing(t, "mmap", 0, syscall.ENOMEM, func() error {
					return openMut(t, name).View(0, -1, func([]byte) error { return nil })
				}),
				func() error {
					return afterFailing(t, "mmap", 0, syscall.ENOMEM, func() error {
						_, err := m.ReadAt(make([]byte, 100), 0)
						return err
					})()
				},
			},
			{"ENOSPC", syscall.ENOSPC, once("tmpfile", syscall.ENOSPC), m.Commit},
			{
				"EIO", syscall.EIO,
				afterFailing(t, "writeback", 1, syscall.EIO, m.Commit),
				func() error {
					if err := m.Commit(); !errors.Is(err, syscall.EIO) {
						return err
					}
					return openMut(t, name).Commit()
				},
			},
		} {
			if err := row.do(); !errors.Is(err, row.err) {
				t.Errorf("%s: %v", row.name, err)
			}
			if err := row.help(); err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
			known[row.name] = "this one"
		}
	})
	if !ran {
		return // no such filesystem can be mounted
	}
	for _, name := range errorTable(t) {
		if known[name] == "" {
			t.Errorf("no test of %s", name)
		}
		delete(known, name)
	}
	if len(known) > 0 {
		t.Errorf("not in the table: %v", known)
	}
}

// errorTable returns the first column of the table.
func errorTable(t *testing.T) (names []string) {
	text, err := fs.ReadFile(os.DirFS("."), "doc.go")
	must(t, err)
	_, table, _ := strings.Cut(string(text), "// # What to do about an error\n//\n")
	table, _, _ = strings.Cut(table, "//\n")
	for line := range strings.Lines(table) {
		if row, ok := strings.CutPrefix(line, "//\t"); ok && row[0] != ' ' {
			first, _, _ := strings.Cut(row, "  ")
			names = append(names, strings.Split(first, ", ")...)
		}
	}
	if len(names) < 10 || !slices.Contains(names, "EDQUOT") {
		t.Fatal(names)
	}
	return names
}
