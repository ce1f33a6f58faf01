package snapshot_test

import (
	"context"
	"errors"
	"fmt"
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

// A file that chattr(1) made immutable or append-only is refused when it is opened, with the flag
// in the error, and not when it is committed.
//
//promise:snapshot.Config.OpenMut an immutable or append-only file is EPERM at once
//promise:snapshot.Config.Create an immutable or append-only file is EPERM at once
//promise:snapshot.MmapMut.CommitTo CommitTo replaces no immutable or append-only file
func TestRefusedFlags(t *testing.T) {
	mounttest.Need(t, "CAP_LINUX_IMMUTABLE")
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		write(t, join(dir, "other"), noise(2, 100))
		other := openMut(t, join(dir, "other"))
		for what, flag := range map[string]int{"append-only": 0x20, "immutable": 0x10} {
			name := join(dir, what)
			write(t, name, noise(1, 100))
			created := create(t, name)
			fd := int(openFile(t, name, os.O_RDONLY).Fd())
			flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
			if err == nil {
				err = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags)|flag)
			}
			if err != nil && !mounttest.Has(dir, mounttest.Disk) {
				t.Skip("no such flag here: ", err)
			}
			must(t, err)
			defer func() {
				must(t, unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags)))
			}()
			if f, err := os.OpenFile(name, os.O_RDWR, 0); !errors.Is(err, syscall.EPERM) {
				t.Fatalf("nothing is tested: %v, %v", f, err)
			}
			_, openErr := snapshot.OpenMut(name)
			_, inPlaceErr := inPlace.OpenMut(context.Background(), name)
			_, createErr := snapshot.Create(name)
			for _, err := range []error{openErr, inPlaceErr, createErr, other.CommitTo(name)} {
				if !errors.Is(err, syscall.EPERM) ||
					!strings.Contains(err.Error(), "the file is "+what) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if err := created.Commit(); !errors.Is(err, syscall.EPERM) { // the flag is newer
				t.Errorf("%s: %v", what, err)
			}
			wantContents(t, open(t, name), noise(1, 100))
			// A new name is free of what has the old one.
			m, err := checking.Create(context.Background(), name)
			must(t, err)
			must(t, m.Close())
		}
		wantNames(t, dir, "append-only", "immutable", "other")
	})
}

// A directory that may be written to and searched, but not read, is refused if a commit would have
// to open it.
//
//promise:snapshot.Config.OpenMut a directory that may not be read is EACCES at once
//promise:snapshot.Config.Create a directory that may not be read is EACCES at once
//promise:snapshot.Config.NoSync without CheckConflict the directory need not be readable
//promise:snapshot.Config.InPlace without CheckConflict the directory need not be readable
func TestRefusedDirectory(t *testing.T) {
	needOwners(t)
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		d := join(dir, "d")
		putDir(t, d, victimID, victimID, 0o300)
		victim := newUser(t, victimID, victimID)
		for _, c := range []snapshot.Config{
			{}, {NoSync: true}, {InPlace: true}, {CheckConflict: true},
			{CheckConflict: true, NoSync: true}, {CheckConflict: true, InPlace: true},
		} {
			if c.InPlace && !reflinks(dir) {
				continue
			}
			refused := c.CheckConflict || !c.NoSync && !c.InPlace
			put(t, join(d, "f"), "old", victimID, victimID, 0o644)
			victim.do(func() {
				for what, open := range map[string]func() (*snapshot.MmapMut, error){
					"OpenMut": func() (*snapshot.MmapMut, error) {
						return c.OpenMut(context.Background(), join(d, "f"))
					},
					"Create": func() (*snapshot.MmapMut, error) {
						return c.Create(context.Background(), join(d, "new"))
					},
				} {
					if c.InPlace && what == "Create" {
						continue
					}
					m, err := open()
					if refused {
						if !errors.Is(err, fs.ErrPermission) ||
							!strings.Contains(err.Error(), "directory, which a commit opens") ||
							strings.Contains(err.Error(), "NoSync") == c.CheckConflict {
							t.Errorf("%s %+v: %v", what, c, err)
						}
						continue
					}
					if err != nil {
						t.Errorf("%s %+v: %v", what, c, err)
						continue
					}
					if err := errors.Join(m.Resize(5), m.Commit(), m.Close()); err != nil {
						t.Errorf("%s %+v: %v", what, c, err)
					}
				}
			})
			want := map[bool]int64{true: 3, false: 5}[refused]
			if n := fileSize(t, join(d, "f")); n != want {
				t.Errorf("%+v: %d bytes", c, n)
			}
			_ = os.Remove(join(d, "new"))
			wantNames(t, d, "f")
		}
	})
}

// A file with more names of extended attributes than the kernel lists is refused, unless it is
// changed in place.
//
//promise:snapshot.Config.OpenMut more than 64 KiB of names of attributes are an error at once
func TestRefusedAttributes(t *testing.T) {
	mounttest.EachOf(t, mounttest.Disk, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		for i := range 300 {
			if err := unix.Setxattr(name, fmt.Sprintf("user.%0240d", i), nil, 0); err != nil {
				if mounttest.Has(dir, mounttest.Reflinks) {
					t.Fatal(err)
				}
				t.Skip("not as many here: ", err)
			}
		}
		if n, err := unix.Listxattr(name, make([]byte, 1<<18)); err != unix.E2BIG {
			t.Fatalf("nothing is tested: %d bytes, %v", n, err)
		}
		_, err := snapshot.OpenMut(name)
		if !errors.Is(err, syscall.E2BIG) || !strings.Contains(err.Error(), "64 KiB of names") ||
			strings.Contains(err.Error(), "InPlace") != reflinks(dir) {
			t.Error(err)
		}
		wantContents(t, open(t, name), noise(1, 100))
		if reflinks(dir) {
			m, err := inPlace.OpenMut(context.Background(), name)
			must(t, err)
			must(t, m.Resize(200))
			must(t, m.CommitAndClose())
		}
		wantNames(t, dir, "f")
	})
}

// Looking for reasons costs two system calls, and three more if the owner is another one.
//
//promise:snapshot.Config.OpenMut OpenMut makes few calls to find out whether a commit is possible
func TestRefusalCalls(t *testing.T) {
	needOwners(t)
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		for _, c := range []struct {
			config                snapshot.Config
			owner                 int
			read, unnamed, fchown int
		}{
			{snapshot.Config{}, 0, 1, 1, 0},
			{snapshot.Config{NoSync: true}, 0, 0, 1, 0},
			{snapshot.Config{}, victimID, 1, 2, 1},
		} {
			must(t, os.Chown(name, c.owner, c.owner))
			calls := systest.CountCalls(t)
			m, err := c.config.OpenMut(context.Background(), name)
			must(t, err)
			got := []int{
				calls("statx flags"), calls("faccessat2 read"), calls("tmpfile"), calls("fchown"),
			}
			want := []int{1, c.read, c.unnamed, c.fchown}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%+v: calls %v, want %v", c.config, got, want)
			}
			must(t, m.Close())
		}
	})
}

// If faccessat2(2) is not available, the kernel answers for the real user ID. A set-user-ID program
// that may read the directory is not refused for that.
//
//promise:snapshot.Config.OpenMut a directory that a commit can open is no reason to fail
func TestDirectoryOfSetUserIDProgram(t *testing.T) {
	needOwners(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	mounttest.Leaks(t)
	d := join(dir, "d")
	putDir(t, d, os.Geteuid(), victimID, 0o733)
	put(t, join(d, "f"), "old", os.Geteuid(), victimID, 0o666)
	must(t, os.Chmod(dir, 0o755))
	mounttest.OnThread(t, func() error {
		_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, victimID, ^uintptr(0), ^uintptr(0))
		if errno != 0 {
			return errno
		}
		if err := mounttest.Refuse(unix.SYS_FACCESSAT2, syscall.ENOSYS); err != nil {
			return err
		}
		m, err := snapshot.OpenMut(join(d, "f"))
		if err != nil {
			return err
		}
		if err := errors.Join(m.Resize(5), m.Commit(), m.Close()); err != nil {
			return err
		}
		m, err = snapshot.Create(join(d, "new"))
		if err != nil {
			return err
		}
		return errors.Join(m.Commit(), m.Close())
	})
	wantNames(t, d, "f", "new")
}
