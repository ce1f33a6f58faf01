package syscalls_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// A call describes how one function of the package reports errors. TestUnsupportedErrnos and
// TestBadDescriptor check all calls.
type call struct {
	function string // as it is exported; more words tell several calls of one function apart
	name     string // of the system call, in the error
	do       func(f *files) error
	number   uintptr // of the system call that TestUnsupportedErrnos refuses, or none
	second   uintptr // of the system call that follows if that one fails with EBADF, or 0
	// Errnos that mean errors.ErrUnsupported, and errnos that do not, besides those of which
	// TestUnsupportedErrnos expects it for all calls.
	unsupported, failures []syscall.Errno

	needs string        // TestBadDescriptor leaves the call out if lacks reports this one
	bad   syscall.Errno // for a bad descriptor, if it is not EBADF
}

// none is a call that TestUnsupportedErrnos leaves out.
const none = ^uintptr(0)

type errnos = []syscall.Errno

var calls []call

// describe adds to calls. Each file of tests describes the functions that it tests, in a variable:
// a new function needs no other list.
func describe(list ...call) struct{} {
	calls = append(calls, list...)
	return struct{}{}
}

// files is the arguments for a call. It records the descriptors that the call uses.
type files struct {
	fds  [3]int
	used [3]bool
	mem  []byte // a page of file, mapped
}

func (f *files) file() int  { return f.use(0) } // a file of one page
func (f *files) other() int { return f.use(1) } // another one
func (f *files) dir() int   { return f.use(2) } // their directory

func (f *files) use(i int) int {
	f.used[i] = true
	return f.fds[i]
}

// count returns err if nothing was counted.
func count(n int, err error) error {
	if n != 0 {
		return errors.New("a count beside an error")
	}
	return err
}

// descriptor returns err if it came without a descriptor, and closes a descriptor that came
// without an error.
func descriptor(fd int, err error) error {
	if err == nil {
		return unix.Close(fd)
	}
	if fd != -1 {
		return errors.New("a descriptor beside an error")
	}
	return err
}

const enotsupp = syscall.Errno(524)

// newFiles makes the arguments for calls. The check that it returns finds changes to the files.
func newFiles(t *testing.T) (f files, check func()) {
	t.Helper()
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Host)
	file, other := newFile(t, dir, "file", zeros(page)), newFile(t, dir, "other", zeros(page))
	f = files{fds: [3]int{file, other, openDir(t, dir)}, mem: mmap(t, file, page, true)}
	return f, func() {
		t.Helper()
		wantContents(t, file, zeros(page))
		wantContents(t, other, zeros(page))
		wantNames(t, dir, "file", "other")
	}
}
