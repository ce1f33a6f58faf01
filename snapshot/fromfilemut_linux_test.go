package snapshot_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// A commit goes to the name that the file has when the snapshot is made, by whatever descriptor.
//
//promise:snapshot.FromFileMut a commit replaces the file that f is open for
//promise:snapshot.Config.FromFileMut Commit goes to the name that f has now, not to f.Name()
//promise:snapshot.Config.FromFileMut nothing is written to f, and its offset stays
//promise:snapshot.Config.FromFileMut a descriptor of O_PATH or one that is open for reading will do
func TestFromFileMut(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name, moved, data := join(dir, "f"), join(dir, "moved"), noise(1, 100_000)
		for what, f := range map[string]func() *os.File{
			"O_RDONLY": func() *os.File { return openFile(t, name, os.O_RDONLY) },
			"O_RDWR":   func() *os.File { return openFile(t, name, os.O_RDWR) },
			"O_PATH":   func() *os.File { return openPathFile(t, name) },
		} {
			write(t, name, data)
			must(t, os.Chmod(name, 0o640))
			f := f()
			if what != "O_PATH" {
				_, err := f.Seek(123, io.SeekStart)
				must(t, err)
			}
			must(t, os.Rename(name, moved))
			write(t, name, []byte("another file"))
			m, err := snapshot.FromFileMut(f)
			must(t, err)
			closeLater(t, m)
			wantContents(t, m, data)
			clear(m.Bytes()[:10])
			must(t, m.Commit())
			want := append(make([]byte, 10), data[10:]...)
			wantFile(t, moved, want)
			wantMode(t, moved, 0o640)
			wantFile(t, name, []byte("another file"))
			if what != "O_PATH" {
				p := make([]byte, 10)
				if off, err := f.Seek(0, io.SeekCurrent); off != 123 || err != nil {
					t.Errorf("%s: offset %d, %v", what, off, err)
				}
				_, err := f.ReadAt(p, 0)
				must(t, err)
				wantBytes(t, "the old file", p, data[:10])
			}
			must(t, m.CommitAndClose())
			if m.Name() != name {
				t.Error(m.Name())
			}
		}
		wantNames(t, dir, "f", "moved")
	})
}

// The file is known by its descriptor.
//
//promise:snapshot.Config.FromFileMut CheckConflict goes by the file behind f
//promise:snapshot.Config.FromFileMut a commit replaces another file only as that of OpenMut does
func TestFromFileMutConflicts(t *testing.T) {
	systest.NoPauses(t)
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name, data := join(dir, "f"), noise(1, 10_000)
		for what, change := range map[string]func(){
			"written to": func() { must(t, os.WriteFile(name, []byte("x"), 0)) },
			"replaced":   func() { write(t, name+"2", data); must(t, os.Rename(name+"2", name)) },
			"removed":    func() { must(t, os.Remove(name)) },
			"private": func() {
				write(t, name+"2", data)
				must(t, os.Chmod(name+"2", 0o600))
				must(t, os.Rename(name+"2", name))
			},
		} {
			write(t, name, data)
			must(t, os.Chmod(name, 0o644))
			f := openFile(t, name, os.O_RDONLY)
			m, err := checking.FromFileMut(context.Background(), f)
			must(t, err)
			closeLater(t, m)
			must(t, m.Commit())
			unchecked, err := snapshot.FromFileMut(openFile(t, name, os.O_RDONLY))
			must(t, err)
			closeLater(t, unchecked)
			change()
			if err := m.Commit(); !errors.Is(err, snapshot.ErrConflict) {
				t.Errorf("%s: %v", what, err)
			}
			if err := unchecked.Commit(); errors.Is(err, snapshot.ErrConflict) != (what == "private") {
				t.Errorf("%s, unchecked: %v", what, err)
			}
		}
	})
}

// Without a name that leads to it, a file can be committed to another name alone.
//
//promise:snapshot.Config.FromFileMut without a name, Commit is fs.ErrInvalid, CommitTo and Link work
//promise:snapshot.Config.FromFileMut without a name, InPlace is an error
func TestFromFileMutWithoutName(t *testing.T) {
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		data := noise(1, 300_000)
		removed := join(dir, "removed")
		write(t, removed, data)
		file := openFile(t, removed, os.O_RDWR)
		must(t, os.Remove(removed))
		write(t, removed+" (deleted)", []byte("another file"))
		unnamed, err := os.OpenFile(dir, os.O_RDWR|unix.O_TMPFILE, 0o640)
		must(t, err)
		defer unnamed.Close()
		memfd, err := unix.MemfdCreate("f", unix.MFD_CLOEXEC)
		must(t, err)
		inMemory := os.NewFile(uintptr(memfd), "memory")
		defer inMemory.Close()
		for _, f := range []*os.File{file, unnamed, inMemory} {
			_, err := f.WriteAt(data, 0)
			must(t, err)
			m, err := snapshot.FromFileMut(f)
			must(t, err)
			closeLater(t, m)
			clear(m.Bytes()[:10])
			for _, commit := range []func() error{m.Commit, m.CommitAndClose} {
				wantError(t, commit(), fs.ErrInvalid,
					"commit "+f.Name()+": no name is known that leads to the file: invalid argument")
			}
			want := append(make([]byte, 10), data[10:]...)
			wantContents(t, m, want)
			must(t, m.CommitTo(join(dir, "to")))
			must(t, m.Link(join(dir, "link")))
			wantFile(t, join(dir, "to"), want)
			wantFile(t, join(dir, "link"), want)
			must(t, os.Remove(join(dir, "link")))
			if _, err := inPlace.FromFileMut(context.Background(), f); !errors.Is(err, fs.ErrInvalid) {
				t.Error(err)
			}
		}
		wantNames(t, dir, "removed (deleted)", "to")
	})
}

// FromFileMut refuses what FromFile refuses, and what OpenMut refuses.
//
//promise:snapshot.Config.FromFileMut closed, irregular and write-only files are refused
//promise:snapshot.Config.FromFileMut without /proc the error is errors.ErrUnsupported
//promise:snapshot.Config.FromFileMut the locks of the process stay, of a file that is open for reading
//promise:snapshot.Config.FromFileMut a commit that compares the contents ends the locks
func TestFromFileMutRefuses(t *testing.T) {
	mounttest.Leaks(t)
	dir := t.TempDir()
	name := join(dir, "f")
	write(t, name, noise(1, 10))
	closed := openFile(t, name, os.O_RDONLY)
	must(t, closed.Close())
	for _, test := range []struct {
		f  *os.File
		is error
	}{
		{nil, fs.ErrInvalid},
		{closed, fs.ErrClosed},
		{openFile(t, dir, os.O_RDONLY), syscall.EISDIR},
		{openFile(t, name, os.O_WRONLY), fs.ErrInvalid},
		{openFile(t, os.DevNull, os.O_RDONLY), fs.ErrInvalid},
	} {
		m, err := snapshot.FromFileMut(test.f)
		if m != nil || !errors.Is(err, test.is) || !errors.As(err, new(*fs.PathError)) {
			t.Errorf("%v, not %v", err, test.is)
		}
	}
	f, other := openFile(t, name, os.O_RDWR), openFile(t, name, os.O_RDWR)
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	must(t, unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock))
	m, err := snapshot.FromFileMut(f)
	must(t, err)
	must(t, m.Commit())
	must(t, m.Close())
	locked := func(other *os.File) bool {
		lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
		must(t, unix.FcntlFlock(other.Fd(), unix.F_OFD_GETLK, &lock))
		return lock.Type != unix.F_UNLCK
	}
	if !locked(other) {
		t.Error("the lock ended")
	}
	f, other = openFile(t, name, os.O_RDWR), openFile(t, name, os.O_RDWR)
	must(t, unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock))
	m, err = checking.FromFileMut(context.Background(), f)
	must(t, err)
	closeLater(t, m)
	must(t, m.CommitTo(name+"2"))
	if !locked(other) {
		t.Error("CommitTo ended the lock")
	}
	must(t, m.Commit())
	if locked(other) == (m.Method() == snapshot.ComparedCopy) {
		t.Errorf("%v: the commit ended the lock: %v", m.Method(), !locked(other))
	}
	t.Run("without proc", func(t *testing.T) {
		mounttest.Need(t, "CAP_SYS_ADMIN")
		withoutProc(t, func() error {
			_, err := snapshot.FromFileMut(openFile(t, name, os.O_RDONLY))
			if !errors.Is(err, errors.ErrUnsupported) || os.IsNotExist(err) {
				t.Error(err)
			}
			return nil
		})
	})
}

// An error of the look for the name is an error, and not a file without a name.
//
//promise:snapshot.Config.FromFileMut a file that is renamed meanwhile has the new name
//promise:snapshot.Config.FromFileMut an error of looking its name up is not taken for no name
func TestFromFileMutFindsName(t *testing.T) {
	mounttest.Leaks(t)
	dir := t.TempDir()
	name, data := join(dir, "f"), noise(1, 1000)
	write(t, name, data)
	f := openFile(t, name, os.O_RDONLY)
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.EACCES, syscall.ENOMEM} {
		undo := systest.Intercept(t, func(call string) error {
			if call == "opendir" {
				return os.NewSyscallError("open", errno)
			}
			return nil
		})
		m, err := snapshot.FromFileMut(f)
		undo()
		if m != nil {
			t.Error(m, errno)
		}
		wantError(t, err, errno, "open "+name+": its name is "+name+": "+errno.Error())
	}
	renames := 0
	undo := systest.Intercept(t, func(call string) error {
		if call == "opendir" && renames < 3 {
			must(t, os.Rename(name, name+"2"))
			name += "2"
			renames++
		}
		return nil
	})
	m, err := snapshot.FromFileMut(f)
	undo()
	must(t, err)
	closeLater(t, m)
	must(t, m.Resize(10))
	must(t, m.Commit())
	wantFile(t, name, data[:10])

	long := join(dir, strings.Repeat("x", 250)) // with " (deleted)", it is too long for a name
	write(t, long, data)
	f = openFile(t, long, os.O_RDONLY)
	must(t, os.Remove(long))
	removed, err := snapshot.FromFileMut(f)
	must(t, err)
	closeLater(t, removed)
	must(t, removed.Link(name+".link"))
	wantFile(t, name+".link", data)
}
