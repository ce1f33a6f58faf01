package snapshot_test

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Without /proc files are opened and committed to all the same, by their names. A descriptor that
// is open for reading needs no /proc.
//
//promise:snapshot.Config.Open without /proc Open opens the file by its name
//promise:snapshot.Config.FromFile a descriptor that is open for reading needs no /proc
//promise:snapshot.MmapMut.Commit without /proc Commit works for root, since Linux 6.10 for all
func TestWithoutProc(t *testing.T) { smallAndPrivate(t, checkWithoutProc) }

func checkWithoutProc(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 3<<20+17)
		write(t, name, data)
		must(t, os.Symlink("f", join(dir, "link")))
		must(t, syscall.Mkfifo(join(dir, "fifo"), 0o644))
		f := openFile(t, name, os.O_RDONLY)
		want := snapshot.LeasedCopy
		if reflinks(dir) {
			want = snapshot.Reflink
		}
		withoutProc(t, func() error {
			for _, name := range []string{name, join(dir, "link")} {
				method, err := read(snapshot.Config{}, nil, name, data)
				if method != want {
					t.Errorf("%s: %v, %v", name, method, err)
				}
			}
			m, err := snapshot.OpenMut(name)
			if err != nil {
				return err
			}
			if err := errors.Join(m.Resize(10), m.Resize(int64(len(data))), m.Close()); err != nil {
				return err
			}
			if err := commitOne(join(dir, "committed")); err != nil {
				return err
			}
			_, err = snapshot.Open(join(dir, "fifo"))
			wantError(t, err, fs.ErrInvalid, "open "+join(dir, "fifo")+": a FIFO, not a regular file: invalid argument")
			_, err = snapshot.Open(join(dir, "missing"))
			wantError(t, err, fs.ErrNotExist, "open "+join(dir, "missing")+": no such file or directory")

			method, err := read(snapshot.Config{TempDir: dir}, f, name, data)
			if method == snapshot.LeasedCopy || (method == snapshot.Reflink) != reflinks(dir) {
				t.Errorf("FromFile: %v", method)
			}
			_, no := read(snapshot.Config{TempDir: dir, RequireConsistent: true}, f, name, data)
			if !reflinks(dir) && !errors.Is(no, snapshot.ErrUnstable) {
				t.Errorf("FromFile: %v", no)
			}
			return err
		})
	})
}

// Without /proc, a name that leads to another file from one moment to the next is followed; one
// that leads to something else then is refused.
func TestWithoutProcReplaced(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		for what, replace := range map[string]func() error{
			"file": func() error { return os.WriteFile(name, []byte("another"), 0o644) },
			"fifo": func() error { return syscall.Mkfifo(name, 0o644) },
			"dir":  func() error { return os.Mkdir(name, 0o755) },
			"gone": func() error { return nil },
		} {
			write(t, name, []byte("one"))
			replaced := false
			undo := systest.Intercept(t, func(call string) error {
				switch call {
				case "reopen":
					return errors.ErrUnsupported
				case "openread":
					if !replaced {
						replaced = true
						return errors.Join(os.Rename(name, name+"2"), replace())
					}
				}
				return nil
			})
			m, err := snapshot.Open(name)
			undo()
			switch what {
			case "file":
				must(t, err)
				wantContents(t, m, []byte("another"))
				fi, err := m.Stat()
				must(t, err)
				var st syscall.Stat_t
				must(t, syscall.Stat(name, &st))
				if fi.Sys().(*syscall.Stat_t).Ino != st.Ino {
					t.Error("Stat is of the other file")
				}
				must(t, m.Close())
			case "fifo":
				wantError(t, err, fs.ErrInvalid, "open "+name+": a FIFO, not a regular file: invalid argument")
			case "dir":
				wantError(t, err, syscall.EISDIR, "open "+name+": is a directory")
			case "gone":
				wantError(t, err, fs.ErrNotExist, "open "+name+": no such file or directory")
			}
			must(t, os.RemoveAll(name))
		}
		// Somebody has a lease that keeps readers out.
		write(t, name, []byte("leased"))
		busy := 3
		undo := systest.Intercept(t, func(call string) error {
			switch call {
			case "reopen":
				return errors.ErrUnsupported
			case "openread":
				if busy--; busy >= 0 {
					return syscall.EAGAIN
				}
			}
			return nil
		})
		wantContents(t, open(t, name), []byte("leased"))
		undo()
	})
}
