package snapshot_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// If the directory cannot hold the private copy, for whatever reason, TempDir does, by reflink if it
// is on the same filesystem, and then memory; and no name is left. TestEveryErrno has the errors
// that end the search.
//
//promise:snapshot.Config.TempDir the copy of an Mmap lies beside the file, else in TempDir, else in memory
//promise:snapshot.Config.TempDir a TempDir on the filesystem of the file makes the copy a reflink
//promise:snapshot.Config.Open the private copy has no name, wherever it lies
func TestCandidates(t *testing.T) {
	privateFiles(t)
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name, temp := join(dir, "f"), join(dir, "tmp")
		data := noise(1, 100000)
		write(t, name, data)
		must(t, os.Mkdir(temp, 0o755))
		c := snapshot.Config{TempDir: temp}
		f := openFile(t, name, os.O_RDONLY)
		ctx := context.Background()
		for copied, open := range map[snapshot.Method]func() (*snapshot.Mmap, error){
			snapshot.LeasedCopy:   func() (*snapshot.Mmap, error) { return c.Open(ctx, name) },
			snapshot.ComparedCopy: func() (*snapshot.Mmap, error) { return c.FromFile(ctx, f) },
		} {
			for _, errno := range []syscall.Errno{syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.ENOENT, syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.ENOSPC, syscall.EDQUOT} {
				for failing := range 3 {
					tmpfiles, inMemory := 0, 0
					undo := systest.Intercept(t, func(call string) error {
						switch call {
						case "tmpfile excl":
							if tmpfiles++; tmpfiles <= failing {
								return errno
							}
						case "memfd", "seal":
							inMemory++
						}
						return nil
					})
					m, err := open()
					undo()
					must(t, err)
					wantContents(t, m, data)
					want := copied
					if failing < 2 && reflinks(dir) {
						want = snapshot.Reflink
					}
					if m.Method() != want {
						t.Errorf("%v, %d times: %v, want %v", errno, failing, m.Method(), want)
					}
					if inMemory != failing/2*2 {
						t.Errorf("%v, %d times: memfd and seal: %d calls", errno, failing, inMemory)
					}
					must(t, m.Close())
				}
			}
		}
		wantNames(t, dir, "f", "tmp")
		wantNames(t, temp)
	})
}

// What fails further down says which places were tried, and why each of them could not be.
//
//promise:snapshot.Config.Open if only memory can hold the copy, more than 64 MiB is ErrUnsupported
//promise:snapshot.Config.TempDir the error names each place that was tried, with its reason
func TestCandidatesErrors(t *testing.T) {
	privateFiles(t)
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name, temp := join(dir, "f"), join(dir, "tmp")
		write(t, name, noise(1, 1000))
		must(t, os.Mkdir(temp, 0o755))
		above := "open " + name + ": directory of the file: read-only file system; temporary directory " + temp + ": "
		c := snapshot.Config{TempDir: temp}
		for errno, call := range map[syscall.Errno]string{syscall.EFBIG: "ftruncate", syscall.EIO: "fstat sync"} {
			tmp := 0
			undo := systest.Intercept(t, func(made string) error {
				switch {
				case made == "tmpfile excl":
					if tmp++; tmp == 1 {
						return syscall.EROFS
					}
				case made == "ficlone":
					return syscall.EOPNOTSUPP
				case made == call && tmp == 2:
					return errno
				}
				return nil
			})
			_, err := c.Open(context.Background(), name)
			undo()
			wantError(t, err, errno, above+errno.Error())
		}

		undo := tmpfiles(t, 2, syscall.EROFS)
		no := c
		no.NoCopy = true
		_, err := no.Open(context.Background(), name)
		undo()
		wantError(t, err, errors.ErrUnsupported, above+"read-only file system; memory: nothing can be cloned there: unsupported operation")

		// A directory that is missing is not a file that is missing.
		c.TempDir = join(dir, "missing")
		undo = tmpfiles(t, 1, syscall.EACCES)
		must(t, os.Truncate(name, 64<<20+1))
		_, err = c.Open(context.Background(), name)
		undo()
		wantError(t, err, errors.ErrUnsupported, "open "+name+": directory of the file: permission denied; temporary directory "+c.TempDir+
			": openat: no such file or directory; memory: 67108865 bytes are more than the 67108864 allowed there: unsupported operation")
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			t.Errorf("%v: is taken for an error of the file itself", err)
		}
		must(t, os.Truncate(name, 64<<20))
		undo = tmpfiles(t, 1, syscall.EACCES)
		m, err := c.Open(context.Background(), name)
		undo()
		must(t, err)
		if m.Size() != 64<<20 {
			t.Error(m.Size())
		}
		must(t, m.Close())
	})
}

// A file that grows beyond what memory is for, while it is copied there, is refused.
//
//promise:snapshot.Config.Open a file that grows beyond 64 MiB during a copy to memory is refused
func TestMemoryLimit(t *testing.T) {
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 1000))
		f := openFile(t, name, os.O_RDWR)
		defer tmpfiles(t, 2, syscall.EOPNOTSUPP)()
		_, err := during(func() { must(t, f.Truncate(64<<20+1)) }).Open(context.Background(), name)
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "memory: 67108865 bytes are more") {
			t.Error(err)
		}
	})
}

// What lies in memory is as immutable as the kernel can make it.
//
//promise:snapshot.Config.Open a copy in memory is sealed against writes and changes of its size
func TestMemoryIsSealed(t *testing.T) {
	privateFiles(t)
	mounttest.Leaks(t)
	name := join(mounttest.Dir(t, mounttest.Disk|mounttest.NoReflinks), "f")
	data := noise(1, 100000)
	write(t, name, data)
	defer tmpfiles(t, 2, syscall.EOPNOTSUPP)()
	m := open(t, name)
	fd := snapshot.Region(m).FD()
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	must(t, err)
	if want := unix.F_SEAL_FUTURE_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL; seals&want != want {
		t.Errorf("seals %#x", seals)
	}
	if _, err := unix.Pwrite(fd, []byte("x"), 0); err != unix.EPERM {
		t.Error(err)
	}
	var st unix.Stat_t
	must(t, unix.Fstat(fd, &st))
	if st.Mode&0o777 != 0 {
		t.Errorf("mode %#o", st.Mode)
	}
	wantContents(t, m, data)
}

// A file that lies where nothing can be written, and one in each layer of an overlayfs, is read
// whole; by reflink where TempDir is on the same filesystem.
//
//promise:snapshot.Config.TempDir files on read-only mounts and overlayfs have their copy there
func TestReadOnlyAndOverlay(t *testing.T) {
	privateFiles(t)
	mounttest.Need(t, "CAP_SYS_ADMIN")
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		data := noise(1, 100000)
		write(t, join(dir, "f"), data)
		must(t, os.Mkdir(join(dir, "tmp"), 0o755))
		frozen := readOnly(t, dir)
		for temp, want := range map[string]bool{join(dir, "tmp"): reflinks(dir), "": false} {
			m, err := snapshot.Config{TempDir: temp}.Open(context.Background(), join(frozen, "f"))
			must(t, err)
			if (m.Method() == snapshot.Reflink) != want {
				t.Errorf("TempDir %q: %v", temp, m.Method())
			}
			wantContents(t, m, data)
			must(t, m.Close())
		}
		// No place at all but memory.
		m, err := snapshot.Config{TempDir: frozen}.Open(context.Background(), join(frozen, "f"))
		must(t, err)
		wantContents(t, m, data)
		must(t, m.Close())
		_, err = snapshot.Config{TempDir: frozen, NoCopy: true}.Open(context.Background(), join(frozen, "f"))
		wantError(t, err, errors.ErrUnsupported, "open "+join(frozen, "f")+": directory of the file: openat O_TMPFILE: read-only file system; temporary directory "+
			frozen+": openat O_TMPFILE: read-only file system; memory: nothing can be cloned there: unsupported operation")
		wantNames(t, join(dir, "tmp"))
	})
	overlays(t, func(t *testing.T, o overlay) {
		mounttest.Leaks(t)
		for _, layer := range []string{"lower", "upper"} {
			name := join(o.merged, layer)
			m := open(t, name)
			wantContents(t, m, o.data)
			copied := m.Method() != snapshot.Reflink
			must(t, m.Close())
			_, err := snapshot.Config{NoCopy: true}.Open(context.Background(), name)
			if copied != errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("copied: %v, with NoCopy: %v", copied, err)
			}
			if layer == "upper" && copied == reflinks(o.upper) {
				t.Errorf("the upper layer: copied: %v", copied)
			}
		}
		wantNames(t, o.merged, "lower", "upper")
		wantNames(t, o.upper, "upper")
	})
}

// A copy that is too large for memory fails if the temporary directory is full. The error names the
// directory, and nothing is left there.
//
//promise:snapshot.Config.TempDir the error of a full TempDir names it, and nothing is left there
func TestFullTempDir(t *testing.T) {
	mounttest.Leaks(t)
	temp := mounttest.Fresh(t, mounttest.Memory, 1<<20)
	name := join(mounttest.Dir(t, mounttest.Disk|mounttest.NoReflinks), "f")
	data := noise(1, 2<<20)
	write(t, name, data)
	undo := tmpfiles(t, 1, syscall.EACCES)
	c := snapshot.Config{TempDir: temp}
	m, err := c.Open(context.Background(), name)
	must(t, err)
	undo()
	wantContents(t, m, data)
	must(t, m.Close())
	must(t, os.Truncate(name, 64<<20+1))
	defer tmpfiles(t, 1, syscall.EACCES)()
	_, err = c.Open(context.Background(), name)
	wantError(t, err, syscall.ENOSPC, "open "+name+": directory of the file: permission denied; memory: "+
		"67108865 bytes are more than the 67108864 allowed there: unsupported operation; temporary directory "+temp+": pwrite: no space left on device")
	wantNames(t, temp)
	if used := usedBytes(t, temp); used > 64<<10 {
		t.Errorf("%d bytes are left", used)
	}
}

// On btrfs the clone of a file that is exempt from copy-on-write is one too, and the reverse in a
// directory that would make it so.
//
//promise:snapshot.Config.Open on btrfs a file with the NOCOW attribute is cloned as well
func TestNoCOW(t *testing.T) {
	privateFiles(t)
	mounttest.EachOf(t, mounttest.NoCOW, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		data := noise(1, 100000)
		must(t, os.Mkdir(join(dir, "d"), 0o755))
		write(t, join(dir, "f"), nil)
		cow := join(dir, "d/cow")
		write(t, cow, data)
		for _, name := range []string{"d", "f"} {
			must(t, syscalls.SetNoCOW(int(openFile(t, join(dir, name), os.O_RDONLY).Fd()), true))
		}
		write(t, join(dir, "f"), data)
		for _, name := range []string{join(dir, "f"), cow} {
			for _, open := range []func() reader{
				func() reader { return open(t, name) },
				func() reader { return openMut(t, name) },
				func() reader { return fromFile(t, openFile(t, name, os.O_RDONLY)) },
			} {
				m := open()
				if m.Method() != snapshot.Reflink {
					t.Error(m.Method())
				}
				wantContents(t, m, data)
				must(t, m.Close())
			}
		}
	})
}

// XFS made without reflinks is a filesystem without reflinks like any other.
//
//promise:snapshot.Config.Open on XFS without reflinks the data are copied
func TestXFSWithoutReflinks(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Fresh(t, mounttest.ReflinksOff, 0)
	name := join(dir, "f")
	data := noise(1, 100000)
	write(t, name, data)
	m := open(t, name)
	if m.Method() != snapshot.LeasedCopy {
		t.Error(m.Method())
	}
	wantContents(t, m, data)
	must(t, m.Close())
	_, err := snapshot.Config{NoCopy: true}.Open(context.Background(), name)
	wantError(t, err, errors.ErrUnsupported, "open "+name+": ficlone: operation not supported")
}
