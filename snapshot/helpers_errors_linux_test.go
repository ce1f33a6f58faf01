package snapshot_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
)

// A failingWay is a way in which an operation fails, and the error.
type failingWay struct {
	text string // of the error
	is   string // which of errorKinds hold
	do   func() error
}

// errorKinds are the questions that a program asks about an error.
var errorKinds = []struct {
	name string
	is   func(err error) bool
}{
	{"os.IsNotExist", os.IsNotExist},
	{"os.IsExist", os.IsExist},
	{"os.IsPermission", os.IsPermission},
	{"ErrNotExist", is(fs.ErrNotExist)},
	{"ErrExist", is(fs.ErrExist)},
	{"ErrPermission", is(fs.ErrPermission)},
	{"ErrInvalid", is(fs.ErrInvalid)},
	{"ErrClosed", is(fs.ErrClosed)},
	{"ErrUnsupported", is(errors.ErrUnsupported)},
	{"ErrConflict", is(snapshot.ErrConflict)},
	{"ErrUnstable", is(snapshot.ErrUnstable)},
	{"ErrNotDurable", is(snapshot.ErrNotDurable)},
	{"EAGAIN", is(syscall.EAGAIN)},
	{"EBUSY", is(syscall.EBUSY)},
	{"EFBIG", is(syscall.EFBIG)},
	{"EIO", is(syscall.EIO)},
	{"EMFILE", is(syscall.EMFILE)},
	{"ENOMEM", is(syscall.ENOMEM)},
	{"ENOSPC", is(syscall.ENOSPC)},
	{"Canceled", is(context.Canceled)},
}

func is(target error) func(err error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func (w failingWay) check(t *testing.T) {
	t.Helper()
	err := w.do()
	if err == nil {
		t.Errorf("no error, want %q", w.text)
		return
	}
	var kinds []string
	for _, kind := range errorKinds {
		if kind.is(err) {
			kinds = append(kinds, kind.name)
		}
	}
	if got := strings.Join(kinds, " "); err.Error() != w.text || got != w.is {
		t.Errorf("%q is %q,\n\twant %q, %q", err, got, w.text, w.is)
	}
}

// afterFailing returns a function that calls do, and lets the n-th call fail meanwhile, or all calls
// if n is 0.
func afterFailing(t *testing.T, call string, n int, errno syscall.Errno, do func() error) func() error {
	return func() error {
		made := 0
		defer systest.Intercept(t, func(c string) error {
			if c == call {
				if made++; made == n || n == 0 {
					return os.NewSyscallError(call, errno)
				}
			}
			return nil
		})()
		return do()
	}
}

// checked opens a file with CheckConflict.
func checked(t *testing.T, name string) *snapshot.MmapMut {
	m, err := snapshot.Config{CheckConflict: true}.OpenMut(context.Background(), name)
	must(t, err)
	closeLater(t, m)
	return m
}

// ficloneErrno returns the errno of FICLONE in dir, which has no reflinks: EOPNOTSUPP, as a rule, or
// ENOTTY on a kernel that does not know the ioctl.
func ficloneErrno(t *testing.T, dir string) error {
	t.Helper()
	from, to := join(dir, "from"), join(dir, "to")
	write(t, from, []byte{1})
	write(t, to, nil)
	defer os.Remove(from)
	defer os.Remove(to)
	dst, src := openFile(t, to, os.O_RDWR), openFile(t, from, os.O_RDONLY)
	err := unix.IoctlFileClone(int(dst.Fd()), int(src.Fd()))
	if err == nil {
		t.Fatal("a reflink was made")
	}
	return err
}
