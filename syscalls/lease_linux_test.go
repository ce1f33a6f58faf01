package syscalls_test

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var _ = describe(
	call{
		function: "SetLease", name: "fcntl F_SETLEASE", number: unix.SYS_FCNTL,
		do: func(f *files) error {
			return syscalls.SetLease(f.file(), syscalls.ReadLease)
		},
		unsupported: errnos{syscall.EINVAL},
		failures:    errnos{syscall.EACCES, syscall.ENOLCK},
	},
	call{
		function: "SetLease to NoLease", name: "fcntl F_SETLEASE", number: unix.SYS_FCNTL,
		do:          func(f *files) error { return syscalls.SetLease(f.file(), syscalls.NoLease) },
		unsupported: errnos{syscall.EINVAL},
		failures:    errnos{syscall.EACCES, syscall.ENOLCK},
	},
	call{
		function: "GetLease", name: "fcntl F_GETLEASE", number: unix.SYS_FCNTL,
		do:       func(f *files) error { return second(syscalls.GetLease(f.file())) },
		failures: errnos{syscall.EINVAL},
	},
	call{
		function: "FSType", name: "fstatfs", number: unix.SYS_FSTATFS,
		do:       func(f *files) error { return second(syscalls.FSType(f.file())) },
		failures: errnos{syscall.EOVERFLOW},
	},
	call{
		function: "NoSymfollow", name: "fstatfs", number: unix.SYS_FSTATFS,
		do:       func(f *files) error { return second(syscalls.NoSymfollow(f.file())) },
		failures: errnos{syscall.EOVERFLOW},
	},
	call{
		function: "TryFlock", name: "flock", number: unix.SYS_FLOCK,
		do:       func(f *files) error { return syscalls.TryFlock(f.file()) },
		failures: errnos{syscall.EINVAL, syscall.ENOLCK},
	},
	call{
		function: "Funlock", name: "flock LOCK_UN", number: unix.SYS_FLOCK,
		do:       func(f *files) error { return syscalls.Funlock(f.file()) },
		failures: errnos{syscall.EINVAL, syscall.ENOLCK},
	},
)

func TestSetLeaseGetLease(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		name := filepath.Join(dir, "file")
		must(t, os.WriteFile(name, nil, 0o600))
		fd := open(t, name, unix.O_RDONLY)
		wantLease(t, fd, syscalls.NoLease)
		must(t, syscalls.SetLease(fd, syscalls.ReadLease))
		wantLease(t, fd, syscalls.ReadLease)
		wantLease(t, open(t, name, unix.O_RDONLY), syscalls.NoLease) // another's is not one's own
		// The signal, in the moment in which there is one, is one that kills nobody.
		if sig, err := unix.FcntlInt(uintptr(fd), unix.F_GETSIG, 0); syscall.Signal(sig) != syscall.SIGURG || err != nil {
			t.Errorf("the signal is %v, %v", syscall.Signal(sig), err)
		}
		must(t, syscalls.SetLease(fd, syscalls.ReadLease)) // again is nothing new
		must(t, syscalls.SetLease(fd, syscalls.NoLease))
		wantLease(t, fd, syscalls.NoLease)
		open(t, name, unix.O_RDWR|unix.O_NONBLOCK)
		// One that is not there cannot be given up.
		wantErr(t, syscalls.SetLease(fd, syscalls.NoLease), "fcntl F_SETLEASE", syscall.EAGAIN)
	})
}

// The program's handling of signals is left alone: nobody is told that a lease is being broken.
// The signal is made another for this test, one that can be told from those that the runtime
// sends itself.
//
//promise:snapshot.LeasedCopy the program gets no signal when its lease is broken
//promise:syscalls.SetLease the holder gets no signal
func TestLeaseSendsNoSignal(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		name := filepath.Join(dir, "file")
		must(t, os.WriteFile(name, nil, 0o600))
		seen := make(chan os.Signal, 100)
		signal.Notify(seen, syscall.SIGIO, syscall.SIGUSR1, syscall.SIGUSR2)
		defer signal.Stop(seen)
		fd := open(t, name, unix.O_RDONLY)
		for range 10 {
			must(t, syscalls.SetLease(fd, syscalls.ReadLease))
			_, err := unix.FcntlInt(uintptr(fd), unix.F_SETSIG, int(unix.SIGUSR1))
			must(t, err)
			if _, err := unix.Open(name, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != unix.EAGAIN {
				t.Fatal(err)
			}
			wantLease(t, fd, syscalls.NoLease)
			must(t, syscalls.SetLease(fd, syscalls.NoLease))
		}
		must(t, unix.Kill(os.Getpid(), unix.SIGUSR2)) // one that does arrive, after the others if there were any
		if sig := <-seen; sig != syscall.SIGUSR2 {
			t.Errorf("a lease was told of by %v", sig)
		}
	})
}

// A writer that has waited for as long as the system lets it gets in, and the holder can tell.
//
//promise:syscalls.SetLease a lease ends after lease-break-time
func TestLeaseExpires(t *testing.T) {
	if mounttest.Count(0, 1, 1) == 0 {
		t.Skip("takes as long as /proc/sys/fs/lease-break-time, 45 s: MOUNTTEST_COUNT=ci")
	}
	dir := mounttest.Dir(t, mounttest.Disk|mounttest.NoReflinks)
	name := filepath.Join(dir, "file")
	must(t, os.WriteFile(name, nil, 0o600))
	fd := open(t, name, unix.O_RDONLY)
	must(t, syscalls.SetLease(fd, syscalls.ReadLease))
	open(t, name, unix.O_RDWR)
	wantErr(t, syscalls.SetLease(fd, syscalls.NoLease), "fcntl F_SETLEASE", syscall.EAGAIN)
}

//promise:syscalls.FSType FSType returns the magic number of the filesystem
//promise:mounttest.Kind.Magic Magic is the type that statfs(2) reports for the kind
func TestFSType(t *testing.T) {
	var types []uint32
	for _, kind := range mounttest.Kinds(mounttest.Known) {
		types = append(types, kind.Magic())
	}
	if want := []uint32{syscalls.XFS, syscalls.Btrfs, syscalls.Ext4, syscalls.Tmpfs}; !slices.Equal(types, want) {
		t.Errorf("%#x, want %#x", types, want)
	}
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		magic, err := syscalls.FSType(newFile(t, dir, "file", nil))
		if magic != kind.Magic() || err != nil {
			t.Errorf("%#x, %v, want %#x", magic, err, kind.Magic())
		}
	})
}

// NoSymfollow tells a mount with that option from others, also for a descriptor of O_PATH.
//
//promise:syscalls.NoSymfollow NoSymfollow reports whether the kernel follows no symbolic link there
func TestNoSymfollow(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	must(t, os.Symlink(".", link))
	mounttest.OnThread(t, func() error {
		if err := mounttest.OwnMounts(); err != nil {
			return err
		}
		if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
			return err
		}
		for _, flag := range []uintptr{0, unix.MS_NOSYMFOLLOW} {
			err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|flag, "")
			if err != nil {
				return err
			}
			fd, err := syscalls.OpenPath(syscalls.AtFdcwd, link)
			if err != nil {
				return err
			}
			_, followErr := os.Stat(link)
			set, err := syscalls.NoSymfollow(fd)
			if set != errors.Is(followErr, syscall.ELOOP) || err != nil {
				t.Errorf("flag %#x: %v, %v, os.Stat of a link %v", flag, set, err, followErr)
			}
			_ = syscalls.Close(fd)
		}
		return nil
	})
}

// A process that opens the file for writing waits, and GetLease reports it.
//
//promise:syscalls.SetLease an open for writing waits while the lease is held
//promise:syscalls.GetLease GetLease reports NoLease as soon as a process waits for the file
func TestLeaseMakesWriterWait(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		name := filepath.Join(dir, "file")
		must(t, os.WriteFile(name, nil, 0o600))
		fd := open(t, name, unix.O_RDONLY)
		must(t, syscalls.SetLease(fd, syscalls.ReadLease))
		writer := make(chan error)
		go func() {
			w, err := unix.Open(name, unix.O_RDWR|unix.O_CLOEXEC, 0)
			if err == nil {
				err = unix.Close(w)
			}
			writer <- err
		}()
		for try := 0; ; try++ {
			if kind, err := syscalls.GetLease(fd); kind == syscalls.NoLease || err != nil || try == 5000 {
				must(t, err)
				break
			}
			time.Sleep(time.Millisecond)
		}
		wantLease(t, fd, syscalls.NoLease)
		select {
		case err := <-writer:
			t.Errorf("opened for writing before the lease was given up (%v)", err)
		case <-time.After(20 * time.Millisecond):
			// It cannot be taken anew now.
			wantErr(t, syscalls.SetLease(fd, syscalls.ReadLease), "fcntl F_SETLEASE", syscall.EAGAIN)
			must(t, syscalls.SetLease(fd, syscalls.NoLease))
			must(t, <-writer)
		}
	})
}

//promise:syscalls.SetLease a file that is open for writing is EAGAIN, one of another user EACCES
func TestSetLeaseRefused(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		name := filepath.Join(dir, "file")
		writer := newFile(t, dir, "file", zeros(page))
		fd := open(t, name, unix.O_RDONLY)
		refused := func(fd int) {
			t.Helper()
			wantErr(t, syscalls.SetLease(fd, syscalls.ReadLease), "fcntl F_SETLEASE", syscall.EAGAIN)
			wantLease(t, fd, syscalls.NoLease)
		}
		refused(fd)     // open for writing elsewhere
		refused(writer) // or itself

		// Mapped writable, with no descriptor left.
		name = filepath.Join(dir, "mapped")
		must(t, os.WriteFile(name, zeros(page), 0o600))
		w, err := unix.Open(name, unix.O_RDWR|unix.O_CLOEXEC, 0)
		must(t, err)
		b := mmap(t, w, page, true)
		must(t, unix.Close(w))
		fd = open(t, name, unix.O_RDONLY)
		refused(fd)
		must(t, syscalls.MapNone(b))
		must(t, syscalls.SetLease(fd, syscalls.ReadLease))

		// No lease of what is no regular file.
		wantUnsupported(t, syscalls.SetLease(open(t, dir, unix.O_RDONLY), syscalls.ReadLease), "fcntl F_SETLEASE", syscall.EINVAL)
	})
}

//promise:syscalls.TryFlock a held lock is EAGAIN; closing the descriptor releases the lock
func TestTryFlock(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		newFile(t, dir, "file", nil)
		for _, name := range []string{filepath.Join(dir, "file"), dir} {
			first, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			must(t, err)
			second := open(t, name, unix.O_RDONLY)
			must(t, syscalls.TryFlock(first))
			must(t, syscalls.TryFlock(first)) // one's own is no obstacle
			// It would wait for ever, if it did, as first is there all the time.
			wantErr(t, syscalls.TryFlock(second), "flock", syscall.EAGAIN)
			// Exclusive, to those too who would share.
			if err := unix.Flock(second, unix.LOCK_SH|unix.LOCK_NB); err != unix.EAGAIN {
				t.Errorf("a shared lock beside it: %v", err)
			}
			must(t, syscalls.Close(first))
			must(t, syscalls.TryFlock(second))
		}
	})
}

//promise:syscalls.Funlock Funlock releases the lock
func TestFunlock(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		first, second := open(t, dir, unix.O_RDONLY), open(t, dir, unix.O_RDONLY)
		must(t, syscalls.Funlock(first)) // nothing to let go
		must(t, syscalls.TryFlock(first))
		must(t, syscalls.Funlock(second)) // another's it is not
		wantErr(t, syscalls.TryFlock(second), "flock", syscall.EAGAIN)
		must(t, syscalls.Funlock(first))
		must(t, syscalls.TryFlock(second))
		wantErr(t, syscalls.Funlock(openDir(t, dir)), "flock LOCK_UN", syscall.EBADF)
	})
}
