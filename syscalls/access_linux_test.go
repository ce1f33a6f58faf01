package syscalls_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var _ = describe(
	call{
		function: "AccessWrite", name: "faccessat2", number: none,
		do: func(f *files) error { return syscalls.AccessWrite(f.file(), syscalls.AtFdcwd, "x") },
	},
	call{
		function: "AccessRead", name: "faccessat2", number: none,
		do: func(f *files) error { return syscalls.AccessRead(f.file(), syscalls.AtFdcwd, "x") },
	},
	call{
		function: "FileFlags", name: "statx", number: unix.SYS_STATX,
		do:          func(f *files) error { return second(syscalls.FileFlags(f.file())) },
		unsupported: errnos{syscall.EPERM},
		failures:    errnos{syscall.EINVAL, syscall.EACCES},
		needs:       "statx",
	},
	call{
		function: "IsAppendOnly", name: "statx", number: unix.SYS_STATX,
		do:          func(f *files) error { return second(syscalls.IsAppendOnly(f.file())) },
		unsupported: errnos{syscall.EPERM},
		failures:    errnos{syscall.EINVAL, syscall.EACCES},
		needs:       "statx",
	},
	call{
		function: "SetNoAtime", name: "fcntl F_SETFL", number: unix.SYS_FCNTL,
		do:       func(f *files) error { return syscalls.SetNoAtime(f.file()) },
		failures: errnos{syscall.EPERM},
	},
	call{
		function: "Capable", name: "capget", number: unix.SYS_CAPGET,
		do:       func(f *files) error { return second(syscalls.Capable(syscalls.CapFsetid)) },
		failures: errnos{syscall.EINVAL, syscall.EPERM},
	},
)

// canWrite asks whether this process may write to dir/name.
func canWrite(t *testing.T, dir, name string) error {
	t.Helper()
	return syscalls.AccessWrite(openPath(t, dir, name), openDir(t, dir), name)
}

//promise:syscalls.AccessWrite an immutable file is EPERM
func TestAccessWriteImmutable(t *testing.T) {
	mounttest.Need(t, "CAP_LINUX_IMMUTABLE")
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		fd := newFile(t, dir, "file", nil)
		must(t, canWrite(t, dir, "file"))
		setFlag(t, fd, immutable, true)
		defer setFlag(t, fd, immutable, false) // or it cannot be removed
		wantErr(t, canWrite(t, dir, "file"), "faccessat2", syscall.EPERM)
	})
}

// SetNoAtime tells an owner from another user.
//
//promise:syscalls.SetNoAtime a file of another user is EPERM
func TestSetNoAtime(t *testing.T) {
	mounttest.Need(t, "CAP_SETUID")
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		root := newFile(t, dir, "root's", nil)
		own := newFile(t, dir, "own", nil)
		must(t, unix.Fchown(own, 1234, 1234))
		must(t, syscalls.SetNoAtime(open(t, filepath.Join(dir, "own"), unix.O_RDONLY)))
		mounttest.OnThread(t, func() error {
			if err := mounttest.Become(1234, 1234); err != nil {
				return err
			}
			wantErr(t, syscalls.SetNoAtime(root), "fcntl F_SETFL", syscall.EPERM)
			return syscalls.SetNoAtime(own)
		})
		flags, err := unix.FcntlInt(uintptr(own), unix.F_GETFL, 0)
		must(t, err)
		if flags&unix.O_NOATIME == 0 || flags&unix.O_ACCMODE != unix.O_RDWR {
			t.Errorf("flags %#x", flags)
		}
	})
}

// Capable is of the calling thread.
//
//promise:syscalls.Capable Capable reports capabilities of the calling thread
func TestCapable(t *testing.T) {
	mounttest.Need(t, "CAP_FSETID")
	mounttest.Need(t, "CAP_SETUID")
	mounttest.Leaks(t)
	ask := func(want bool) error {
		got, err := syscalls.Capable(syscalls.CapFsetid)
		if err == nil && got != want {
			err = fmt.Errorf("says %v, want %v", got, want)
		}
		return err
	}
	mounttest.OnThread(t, func() error {
		return errors.Join(ask(true), mounttest.Become(1234, 1234), ask(false))
	})
	must(t, ask(true))
	for _, unknown := range []int{-1, 64} {
		_, err := syscalls.Capable(unknown)
		wantErr(t, err, "capget", syscall.EINVAL)
	}
}

// From an append-only directory no name can be removed.
//
//promise:syscalls.IsAppendOnly IsAppendOnly reports append-only files and directories
func TestIsAppendOnly(t *testing.T) {
	needCall(t, "statx")
	mounttest.Need(t, "CAP_LINUX_IMMUTABLE")
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		for _, on := range []bool{true, false} {
			fd, err := syscalls.ReopenDir(openDir(t, dir))
			setFlag(t, opened(t, fd, err), appendOnly, on)
			got, err := syscalls.IsAppendOnly(openDir(t, dir))
			must(t, err)
			if got != on {
				t.Errorf("says %v, want %v", got, on)
			}
			name := fmt.Sprint(on)
			newFile(t, dir, name, nil)
			if err := syscalls.Unlinkat(openDir(t, dir), name); on != errors.Is(err, syscall.EPERM) {
				t.Errorf("removing the name: %v", err)
			}
		}
	})
}

// FileFlags reports each flag of chattr(1) alone.
//
//promise:syscalls.FileFlags FileFlags reports immutable and append-only files, and no others
//promise:syscalls.Flags Flags are those that are set at the time of the call
//promise:syscalls.FlagImmutable FlagImmutable is the flag of chattr +i
//promise:syscalls.FlagAppendOnly FlagAppendOnly is the flag of chattr +a
func TestFileFlags(t *testing.T) {
	needCall(t, "statx")
	mounttest.Need(t, "CAP_LINUX_IMMUTABLE")
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		fd := newFile(t, dir, "file", nil)
		for _, c := range []struct {
			chattr uint32
			want   syscalls.Flags
		}{{immutable, syscalls.FlagImmutable}, {appendOnly, syscalls.FlagAppendOnly}, {noDump, 0}} {
			for _, on := range []bool{true, false} {
				setFlag(t, fd, c.chattr, on)
				want := c.want
				if !on {
					want = 0
				}
				got, err := syscalls.FileFlags(openPath(t, dir, "file"))
				if err != nil || got != want {
					t.Errorf("chattr %#x is %v: %#x, want %#x, %v", c.chattr, on, got, want, err)
				}
			}
		}
	})
}

// A file that is mounted over a name is the root of a mount, and the file below it is not.
//
//promise:syscalls.FlagMountRoot FlagMountRoot is set for a file that is mounted over a name
func TestFlagMountRoot(t *testing.T) {
	needCall(t, "statx")
	mounttest.Need(t, "CAP_SYS_ADMIN")
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		newFile(t, dir, "source", nil)
		newFile(t, dir, "name", nil)
		source, name := filepath.Join(dir, "source"), filepath.Join(dir, "name")
		var flags [2]syscalls.Flags
		mounttest.OnThread(t, func() error {
			if err := mounttest.OwnMounts(); err != nil {
				return err
			}
			if err := unix.Mount(source, name, "", unix.MS_BIND, ""); err != nil {
				return err
			}
			for i, name := range []string{source, name} {
				fd, err := syscalls.OpenPath(syscalls.AtFdcwd, name)
				if err != nil {
					return err
				}
				flags[i], err = syscalls.FileFlags(fd)
				if err := errors.Join(err, unix.Close(fd)); err != nil {
					return err
				}
			}
			return nil
		})
		if flags != [2]syscalls.Flags{0, syscalls.FlagMountRoot} {
			t.Errorf("flags %#x", flags)
		}
	})
}

// A program that runs may be written to, only not be opened for it.
//
//promise:syscalls.AccessWrite the file of a running program counts as writable
func TestAccessWriteRunning(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	must(t, err)
	program, err := os.ReadFile(sleep)
	must(t, err)
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		name := filepath.Join(dir, "program")
		must(t, os.WriteFile(name, program, 0o700))
		cmd := exec.Command(name, "60")
		cmd.Args[0] = "sleep" // in case it is many programs in one
		must(t, cmd.Start())
		defer func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}()
		if fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CLOEXEC, 0); err != unix.ETXTBSY {
			t.Fatalf("opened the program for writing as %d, error %v: nothing is tested", fd, err)
		}
		must(t, canWrite(t, dir, "program"))
		err := descriptor(syscalls.ReopenReadWrite(openPath(t, dir, "program")))
		wantErr(t, err, "openat", syscall.ETXTBSY)
	})
}

//promise:syscalls.OpenPath OpenPath breaks no lease
//promise:syscalls.AccessWrite AccessWrite breaks no lease
func TestOpenPathBreaksNoLease(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		name := filepath.Join(dir, "file")
		must(t, os.WriteFile(name, nil, 0o600))
		fd := open(t, name, unix.O_RDONLY)
		must(t, syscalls.SetLease(fd, syscalls.ReadLease))
		must(t, canWrite(t, dir, "file"))
		again, err := syscalls.Reopen(openPath(t, dir, "file"))
		opened(t, again, err)
		if kind, err := syscalls.GetLease(fd); kind != syscalls.ReadLease || err != nil {
			t.Errorf("the lease is %d, %v", kind, err)
		}
	})
}

func TestAccessWriteReadOnlyMount(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		newFile(t, dir, "file", nil)
		var dirfd, path int
		var canWrite, tmpfile error
		mounttest.OnThread(t, func() (err error) {
			err = errors.Join(
				mounttest.OwnMounts(),
				unix.Mount(dir, dir, "", unix.MS_BIND, ""),
				unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""),
			)
			if err != nil {
				return err
			}
			if dirfd, err = syscalls.OpenDir(syscalls.AtFdcwd, dir); err != nil {
				return err
			}
			defer unix.Close(dirfd)
			if path, err = syscalls.OpenPath(dirfd, "file"); err != nil {
				return err
			}
			defer unix.Close(path)
			canWrite = syscalls.AccessWrite(path, dirfd, "file")
			tmpfile = descriptor(syscalls.Tmpfile(dirfd, 0o600))
			return nil
		})
		wantErr(t, canWrite, "faccessat2", syscall.EROFS)
		wantErr(t, tmpfile, "openat O_TMPFILE", syscall.EROFS)
	})
}

// On kernels without faccessat2, and where a sandbox refuses it, the name answers.
//
//promise:syscalls.AccessWrite without faccessat2 AccessWrite checks by the name
//promise:syscalls.AccessRead without faccessat2 AccessRead checks by the name
func TestAccessByName(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Host)
	newFile(t, dir, "file", nil)
	path, dirfd := openPath(t, dir, "file"), openDir(t, dir)
	for errno, byName := range map[syscall.Errno]bool{
		syscall.ENOSYS: true, syscall.EPERM: true, syscall.EACCES: false, syscall.EROFS: false, syscall.EIO: false,
	} {
		for name, want := range map[string]syscall.Errno{"file": 0, "none": syscall.ENOENT} {
			if !byName {
				want = errno
			}
			for _, access := range []func(fd, dirfd int, name string) error{
				syscalls.AccessWrite, syscalls.AccessRead,
			} {
				err := refused(t, refusal{unix.SYS_FACCESSAT2, -1, 0, errno}, func() error {
					return access(path, dirfd, name)
				})
				if want != 0 {
					wantErr(t, err, "faccessat2", want)
				} else if err != nil {
					t.Errorf("faccessat2 gives %v: %v", errno, err)
				}
			}
		}
	}
}

// Files of root with different permissions are used by an ordinary user.
//
//promise:syscalls.AccessRead AccessRead fails where opening a file or a directory for reading fails
func TestPermissionsOfOrdinaryUser(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		if mounttest.Can("CAP_SETUID") {
			for name, perm := range map[string]os.FileMode{"none": 0, "read": 0o444, "write": 0o222, "both": 0o666} {
				must(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600))
				must(t, os.Chmod(filepath.Join(dir, name), perm))
			}
			must(t, os.Mkdir(filepath.Join(dir, "search"), 0o700))
			must(t, os.WriteFile(filepath.Join(dir, "search", "file"), nil, 0o644))
			must(t, os.Chmod(filepath.Join(dir, "search"), 0o711))
		}
		mounttest.AsUser(t, func(t *testing.T) {
			dir := os.Getenv("TEST_DIR")
			for name, may := range map[string]struct{ read, write syscall.Errno }{
				"none": {syscall.EACCES, syscall.EACCES}, "read": {0, syscall.EACCES}, "write": {syscall.EACCES, 0}, "both": {0, 0},
			} {
				t.Run(name, func(t *testing.T) {
					// To look at it takes no permission.
					path := openPath(t, dir, name)
					fd, err := syscalls.Reopen(path)
					if may.read != 0 {
						wantErr(t, err, "openat", may.read)
					} else {
						wantContents(t, opened(t, fd, err), []byte(name))
						// Leases are the owner's.
						wantErr(t, syscalls.SetLease(fd, syscalls.ReadLease), "fcntl F_SETLEASE", syscall.EACCES)
					}
					if may.read|may.write != 0 {
						err := descriptor(syscalls.ReopenReadWrite(path))
						wantErr(t, err, "openat", syscall.EACCES)
					}
					if err := canWrite(t, dir, name); may.write != 0 {
						wantErr(t, err, "faccessat2", may.write)
					} else {
						must(t, err)
					}
					err = syscalls.AccessRead(path, openDir(t, dir), name)
					if may.read != 0 {
						wantErr(t, err, "faccessat2", may.read)
					} else {
						must(t, err)
					}
				})
			}
			must(t, syscalls.AccessRead(openDir(t, dir), openDir(t, dir), "."))
			search := openDir(t, filepath.Join(dir, "search"))
			fd, err := syscalls.OpenPath(search, "file")
			opened(t, fd, err)
			_, err = syscalls.ReopenDir(search)
			wantErr(t, err, "openat", syscall.EACCES)
			wantErr(t, syscalls.AccessRead(search, search, "."), "faccessat2", syscall.EACCES)
			_, err = syscalls.Tmpfile(search, 0o600)
			wantErr(t, err, "openat O_TMPFILE", syscall.EACCES)
			wantErr(t, syscalls.Fchmod(open(t, filepath.Join(dir, "read"), unix.O_RDONLY), 0o600), "fchmod", syscall.EPERM)
			wantErr(t, syscalls.Fchown(open(t, filepath.Join(dir, "read"), unix.O_RDONLY), 65534, 65534), "fchown", syscall.EPERM)
		}, "TEST_DIR="+dir, quickly)
	})
}
