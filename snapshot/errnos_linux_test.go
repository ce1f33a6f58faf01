package snapshot_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A failingCall is a call of the kernel that fails while a file is opened, and what comes of it.
type failingCall struct {
	name string
	call string
	nth  int                      // which of these calls fails
	pre  map[string]syscall.Errno // calls that always fail
	// want returns where the copy lies: nowhere, if the errno is the error of opening.
	want func(errno syscall.Errno, tempSet bool) string
}

var (
	lastErrnos = []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EFBIG, syscall.EBADF,
	}
	fullErrnos = []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT}
	byHand     = map[string]syscall.Errno{
		"ficlone": syscall.EOPNOTSUPP, "copy_file_range": syscall.ENOSYS,
	}
)

// knownErrnos are treated as others, or are known to come from one of the calls.
var knownErrnos = slices.Concat(lastErrnos, fullErrnos, []syscall.Errno{
	syscall.EPERM, syscall.ENOENT, syscall.EIO, syscall.EAGAIN, syscall.EACCES, syscall.EXDEV,
	syscall.ENOTDIR, syscall.EINVAL, syscall.ENOTTY, syscall.ETXTBSY, syscall.EROFS, syscall.ELOOP,
	syscall.ENAMETOOLONG, syscall.ENOSYS, syscall.EOVERFLOW, syscall.EOPNOTSUPP, syscall.ENOKEY,
})

// ofFirstPlace is what comes of an errno that keeps the directory of the file from having the copy.
func ofFirstPlace(errno syscall.Errno, tempSet bool) string {
	switch {
	case slices.Contains(lastErrnos, errno):
		return nowhere
	case slices.Contains(fullErrnos, errno) && !tempSet:
		return inMemory
	}
	return temporary
}

// ofKernelCopy is what comes of an errno of a call by which the kernel copies, other than EIO.
func ofKernelCopy(errno syscall.Errno, tempSet bool) string {
	switch {
	case errno == syscall.EBADF, errno == syscall.ENOMEM, errno == syscall.EFBIG:
		return nowhere
	case slices.Contains(fullErrnos, errno):
		return ofFirstPlace(errno, tempSet)
	}
	return inDirectory
}

var failingCalls = []failingCall{
	{name: "O_TMPFILE beside the file", call: "tmpfile excl", nth: 1, want: ofFirstPlace},
	{
		name: "O_TMPFILE in TempDir", call: "tmpfile excl", nth: 2,
		pre:  map[string]syscall.Errno{"first tmpfile excl": syscall.EROFS},
		want: ofTempDir,
	},
	{
		name: "FICLONE", call: "ficlone", nth: 1,
		want: func(errno syscall.Errno, tempSet bool) string {
			if errno == syscall.EIO {
				return nowhere
			}
			return ofKernelCopy(errno, tempSet)
		},
	},
	{
		name: "copy_file_range", call: "copy_file_range", nth: 1,
		pre:  map[string]syscall.Errno{"ficlone": syscall.EOPNOTSUPP},
		want: ofKernelCopy,
	},
	{name: "pwrite", call: "pwrite", nth: 1, pre: byHand, want: ofFirstPlace},
	{name: "ftruncate", call: "ftruncate", nth: 1, pre: byHand, want: ofFirstPlace},
	{
		name: "pread", call: "pread", nth: 1, pre: byHand,
		want: func(syscall.Errno, bool) string { return nowhere },
	},
	{
		name: "memfd_create", call: "memfd", nth: 1,
		pre:  map[string]syscall.Errno{"tmpfile excl": syscall.EROFS},
		want: func(syscall.Errno, bool) string { return nowhere },
	},
}

func ofTempDir(errno syscall.Errno, _ bool) string {
	switch errno {
	case syscall.ENOTDIR, syscall.ELOOP, syscall.ENAMETOOLONG:
		return nowhere
	}
	if slices.Contains(lastErrnos, errno) {
		return nowhere
	}
	return inMemory
}

// For each errno of each call that makes the private copy, a file that can be read is opened, with
// the copy where Config.TempDir says; or the errno is the error, if it is one of those that end the
// search. If the directory of the file is full, the default TempDir is never used.
//
//promise:snapshot.Config.Open an error of cloning or copying in the kernel fails no opening but six
//promise:snapshot.Config.TempDir if a disk is full, only a TempDir that the caller set is used
//promise:snapshot.Config.TempDir the copy goes to the next place unless the error is a final one
func TestEveryErrno(t *testing.T) {
	systest.NoPauses(t)
	every := mounttest.Count(8, 1, 1)
	for _, property := range []mounttest.Property{mounttest.Reflinks, copying} {
		t.Run(property.String(), func(t *testing.T) {
			mounttest.Leaks(t)
			dir := mounttest.Dir(t, property)
			temp := join(dir, "tmp")
			must(t, os.Mkdir(temp, 0o755))
			t.Setenv("TMPDIR", temp)
			name, data := join(dir, "f"), noise(1, 200_000)
			write(t, name, data)
			for _, failing := range failingCalls {
				for errno := syscall.Errno(1); errno <= 133; errno++ {
					if !slices.Contains(knownErrnos, errno) && int(errno)%every != 0 {
						continue
					}
					for _, c := range []snapshot.Config{{}, {TempDir: temp}} {
						failing.check(t, c, name, temp, errno, data)
					}
				}
			}
		})
	}
}

func (f failingCall) check(
	t *testing.T, c snapshot.Config, name, temp string, errno syscall.Errno, data []byte,
) {
	t.Helper()
	made := map[string]int{}
	undo := systest.Intercept(t, func(call string) error {
		made[call]++
		if e, ok := f.pre["first "+call]; ok && made[call] == 1 {
			return e
		}
		if e, ok := f.pre[call]; ok {
			return e
		}
		if call == f.call && made[call] == f.nth {
			return errno
		}
		return nil
	})
	m, err := c.Open(context.Background(), name)
	undo()
	want := f.want(errno, c.TempDir != "")
	if made[f.call] < f.nth && want != nowhere {
		t.Errorf("%s: %d calls, want at least %d", f.name, made[f.call], f.nth)
	}
	if err != nil {
		if want != nowhere || !errors.Is(err, errno) {
			t.Errorf("%s: %d, %v: %v; want the copy in %s", f.name, errno, errno, err, want)
		}
		return
	}
	if errno == syscall.EXDEV && f.call == "ficlone" && mounttest.Has(name, mounttest.Reflinks) {
		want = temporary // which has the same filesystem: a reflink
	}
	if got := placeOf(t, m, temp); got != want {
		t.Errorf("%s: %d, %v: the copy lies in %s, want %s", f.name, errno, errno, got, want)
	}
	p := make([]byte, len(data))
	_, err = m.ReadAt(p, 0)
	must(t, err)
	wantBytes(t, f.name, p, data)
	must(t, m.Close())
}
