package adapters_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// openNames has a name for each kind of file that a name can lead to. fillOpenNames makes the
// directories and the links that lead nowhere.
var openNames = []string{
	"", "new", "file", "locked", "dir", "dir/", "new/", "file/", "file/f",
	"none/f", "none/f/", "link", "dangling", "loop", "nul\x00",
}

func fillOpenNames(t *testing.T, dir string) {
	t.Helper()
	put(t, dir, "file", []byte("0123456789"))
	put(t, dir, "locked", []byte("0123456789"))
	for _, err := range []error{
		os.Chmod(filepath.Join(dir, "locked"), 0o444),
		os.Mkdir(filepath.Join(dir, "dir"), 0o755),
		os.Symlink("file", filepath.Join(dir, "link")),
		os.Symlink("made", filepath.Join(dir, "dangling")),
		os.Symlink("loop", filepath.Join(dir, "loop")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// use opens a file by open, writes to it, reads, and closes it. It returns what happened.
func use[F file](
	open func(string, int, fs.FileMode) (F, error), dir, name string, flag int, perm fs.FileMode,
) string {
	if name != "" {
		name = dir + "/" + name
	}
	f, err := open(name, flag, perm)
	if err != nil {
		return fmt.Sprint(class(err, name), os.IsNotExist(err), os.IsExist(err), os.IsPermission(err))
	}
	n, writeErr := f.Write([]byte("xyz"))
	m, readErr := f.ReadAt(make([]byte, 20), 0)
	err = f.Close()
	return fmt.Sprint(f.Name() == name, n, class(writeErr, name), m, class(readErr, name), class(err, name))
}

// OpenFile does what os.OpenFile does, with all flags that it knows, whatever the name leads to.
//
//promise:adapters.OpenFile each supported flag does what it does in os.OpenFile, with the same errors
//promise:adapters.OpenFile perm is subject to the umask, also if it is 0
//promise:adapters.OpenFile a File of O_WRONLY refuses reads with syscall.EBADF
//promise:adapters.Create Create has the errors of os.Create
//promise:adapters.OpenFile os.IsNotExist, IsExist and IsPermission know the errors of names
func TestOpenFileLikeOS(t *testing.T) {
	for flags := range 32 {
		flag := os.O_RDWR
		for i, bit := range []int{os.O_RDWR ^ os.O_WRONLY, os.O_CREATE, os.O_EXCL, os.O_TRUNC, os.O_APPEND} {
			if flags>>i&1 != 0 {
				flag ^= bit
			}
		}
		perm := []fs.FileMode{0o666, 0, 0o751, 0o640}[flags>>2%4]
		ours, theirs := t.TempDir(), t.TempDir()
		fillOpenNames(t, ours)
		fillOpenNames(t, theirs)
		for _, name := range openNames {
			got := use(adapters.OpenFile, ours, name, flag, perm)
			want := use(os.OpenFile, theirs, name, flag, perm)
			if got != want {
				t.Errorf("%q, flags %#x: %s; os: %s", name, flag, got, want)
			}
		}
		names := mounttest.NamesIn(t, theirs)
		mounttest.WantNames(t, ours, names...)
		for _, name := range names {
			ours, theirs := filepath.Join(ours, name), filepath.Join(theirs, name)
			sameMode(t, ours, theirs)
			got, gotErr := os.ReadFile(ours)
			want, wantErr := os.ReadFile(theirs)
			if string(got) != string(want) || class(gotErr, ours) != class(wantErr, theirs) {
				t.Errorf("flags %#x: %s has %q, %v; os: %q, %v", flag, name, got, gotErr, want, wantErr)
			}
		}
	}
}

//promise:adapters.OpenFile other flags and O_RDONLY are errors.ErrUnsupported, and make nothing
func TestOpenFileFlags(t *testing.T) {
	dir := t.TempDir()
	for _, flag := range []int{
		os.O_RDONLY, os.O_RDONLY | os.O_CREATE, os.O_RDWR | os.O_WRONLY,
		os.O_RDWR | os.O_CREATE | os.O_SYNC, os.O_RDWR | 1<<30,
	} {
		name := filepath.Join(dir, "f")
		f, err := adapters.OpenFile(name, flag, 0o666)
		if f != nil || class(err, name) != "open: "+errors.ErrUnsupported.Error() {
			t.Errorf("flags %#x: %v", flag, err)
		}
	}
	mounttest.WantNames(t, dir)
}

// With O_EXCL, a file that another process makes meanwhile is not replaced, and neither is what it
// writes later.
//
//promise:adapters.OpenFile with O_EXCL, a file that came meanwhile makes Close fail with fs.ErrExist
//promise:adapters.OpenFile with O_EXCL, later commits do not replace changes of another process
func TestOpenFileExclusive(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := filepath.Join(dir, "f")
		f := openFlag(t, name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
		put(t, dir, "f", []byte("theirs"))
		if err := f.Close(); !errors.Is(err, fs.ErrExist) || class(err, name) != "close: file exists" {
			t.Error(err)
		}
		mounttest.WantFile(t, name, []byte("theirs"))
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		f = openFlag(t, name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
		write(t, f, "ours")
		if err := f.Sync(); err != nil {
			t.Error(err)
		}
		put(t, dir, "f", []byte("theirs, later"))
		write(t, f, "more")
		if err := f.Close(); err == nil {
			t.Error("no error")
		}
		mounttest.WantFile(t, name, []byte("theirs, later"))
	})
}
