package snapshot_test

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// A descriptor of O_PATH stands for the file, whatever name that has. It is opened for reading
// once, and no name is looked up.
//
//promise:snapshot.Config.FromFile a file opened with O_PATH is opened for reading once, by no name
func TestFromPathDescriptor(t *testing.T) { smallAndPrivate(t, fromPathDescriptor) }

func fromPathDescriptor(t *testing.T) {
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name, data := join(dir, "f"), noise(1, 100000)
		write(t, name, data)
		root := openRoot(t, dir)
		inRoot, err := root.OpenFile("f", syscalls.OPath, 0)
		must(t, err)
		defer inRoot.Close()
		want := snapshot.LeasedCopy
		if reflinks(dir) && privatefile.SmallSize < int64(len(data)) {
			want = snapshot.Reflink
		}
		for _, f := range []*os.File{openPathFile(t, name), inRoot} {
			calls := systest.CountCalls(t)
			m := fromFile(t, f)
			if n := calls("reopen"); n != 1 || calls("openread") != 0 || calls("openpath") != 0 {
				t.Errorf("opened %d times for reading", n)
			}
			wantContents(t, m, data)
			if m.Method() != want || m.Name() != name {
				t.Errorf("%v of %s, want %v of %s", m.Method(), m.Name(), want, name)
			}
		}
		f := openPathFile(t, name)
		for _, step := range []func() error{
			func() error { return os.Rename(name, name+"2") },
			func() error { return os.WriteFile(name, noise(2, 100), 0o600) },
			func() error { return os.Remove(name + "2") },
		} {
			must(t, step())
			wantContents(t, fromFile(t, f), data)
		}
		if _, err := f.Stat(); err != nil {
			t.Errorf("the descriptor was closed: %v", err)
		}
	})
}

//promise:snapshot.Config.FromFile a directory or FIFO of O_PATH is an error, and not opened
func TestFromPathDescriptorOfNoFile(t *testing.T) {
	dir := mounttest.Dir(t, mounttest.Host)
	mounttest.Leaks(t)
	must(t, unix.Mkfifo(join(dir, "fifo"), 0o600))
	must(t, os.Symlink("fifo", join(dir, "link")))
	calls := systest.CountCalls(t)
	for name, want := range map[string]error{
		"fifo": fs.ErrInvalid, "link": fs.ErrInvalid, "": unix.EISDIR,
	} {
		if m, err := snapshot.FromFile(openPathFile(t, join(dir, name))); !errors.Is(err, want) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	if n := calls("reopen"); n != 0 {
		t.Errorf("%d files were opened", n)
	}
	write(t, join(dir, "f"), nil)
	name := join(dir, "f")
	_, err := snapshot.FromFile(openFile(t, name, os.O_WRONLY))
	wantError(t, err, fs.ErrInvalid, "open "+name+": not open for reading: invalid argument")
}

// Permission to read the file is asked for when it is opened, and the error works with
// os.IsPermission.
//
//promise:snapshot.Config.FromFile a file opened with O_PATH needs permission to read
func TestFromPathDescriptorPermission(t *testing.T) {
	mounttest.AsUser(t, func(t *testing.T) {
		dir := mounttest.Dir(t, mounttest.Host)
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		must(t, os.Chmod(name, 0o200))
		f := openPathFile(t, name)
		_, err := snapshot.FromFile(f)
		if !os.IsPermission(err) {
			t.Error(err)
		}
		wantError(t, err, fs.ErrPermission, "open "+name+": permission denied")
		must(t, os.Chmod(name, 0o400))
		wantContents(t, fromFile(t, f), noise(1, 100))
	})
}

//promise:snapshot.Config.FromFile a file opened with O_PATH is ErrUnsupported without /proc
func TestFromPathDescriptorWithoutProc(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	dir := mounttest.Dir(t, mounttest.Memory)
	mounttest.Leaks(t)
	write(t, join(dir, "f"), noise(1, 100))
	f := openPathFile(t, join(dir, "f"))
	withoutProc(t, func() error {
		if m, err := snapshot.FromFile(f); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v, %v", m, err)
		}
		return nil
	})
}
