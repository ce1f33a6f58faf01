package syscalls_test

import (
	"context"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// openers returns the functions that open for access a file of a directory that is already known.
func openers(t *testing.T, dir, name string) map[string]func() (int, error) {
	dirfd, path := openDir(t, dir), openPath(t, dir, name)
	return map[string]func() (int, error){
		"Reopen":          func() (int, error) { return syscalls.Reopen(path) },
		"ReopenReadWrite": func() (int, error) { return syscalls.ReopenReadWrite(path) },
		"OpenRead":        func() (int, error) { return syscalls.OpenRead(dirfd, name) },
		"OpenReadWrite":   func() (int, error) { return syscalls.OpenReadWrite(dirfd, name) },
	}
}

// A lease of another process is EAGAIN at once, and the process is asked for it. As soon as it
// gives the lease up, AwaitLease succeeds.
//
//promise:syscalls.Reopen a lease that excludes readers is EAGAIN at once, and is asked for
//promise:syscalls.ReopenReadWrite a lease is EAGAIN at once, and is asked for
//promise:syscalls.OpenRead a lease that excludes readers is EAGAIN at once, and is asked for
//promise:syscalls.OpenReadWrite a lease is EAGAIN at once, and is asked for
//promise:syscalls.AwaitLease a lease that its holder gives up when asked is awaited
func TestOpenUnderLease(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		data := noise(100, 1)
		for _, what := range []string{"Reopen", "ReopenReadWrite", "OpenRead", "OpenReadWrite"} {
			file, err := syscalls.CreateExcl(openDir(t, dir), what, 0o600)
			must(t, err)
			write(t, file, data, 0)
			must(t, unix.Close(file))
			open := openers(t, dir, what)[what]
			asking := make(chan struct{})
			asked := mounttest.HoldLease(t, filepath.Join(dir, what), func(giveUp, _ func()) {
				<-asking
				giveUp()
			})
			_, err = open()
			wantErr(t, err, "openat", syscall.EAGAIN)
			time.AfterFunc(20*time.Millisecond, func() { close(asking) })
			fd, err := syscalls.AwaitLease(context.Background(), open)
			wantContents(t, opened(t, fd, err), data)
			if n := asked(); n != 1 {
				t.Errorf("%s: the lease was asked for %d times", what, n)
			}
		}
	})
}

// The descriptor is as one of a plain open: O_NONBLOCK is cleared, unless a sandbox refuses to. The
// other end of a FIFO is not waited for.
//
//promise:syscalls.Reopen Reopen works in a sandbox that refuses fcntl(2)
//promise:syscalls.Reopen Reopen does not wait for the other end of a FIFO, and clears O_NONBLOCK
//promise:syscalls.ReopenReadWrite ReopenReadWrite clears O_NONBLOCK
//promise:syscalls.OpenRead OpenRead clears O_NONBLOCK
//promise:syscalls.OpenReadWrite OpenReadWrite clears O_NONBLOCK
func TestOpenClearsNonblock(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		newFile(t, dir, "file", nil)
		must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
		for _, name := range []string{"file", "fifo"} {
			for what, open := range openers(t, dir, name) {
				fd, err := open()
				opened(t, fd, err)
				flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
				if err != nil || flags&unix.O_NONBLOCK != 0 {
					t.Errorf("%s of a %s: flags %#x, %v", what, name, flags, err)
				}
				flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
				if flags != unix.FD_CLOEXEC || err != nil {
					t.Errorf("%s of a %s: descriptor flags %#x, %v", what, name, flags, err)
				}
				fcntl := refusal{unix.SYS_FCNTL, -1, 0, syscall.EPERM}
				must(t, refused(t, fcntl, func() error {
					fd, err := open()
					if err == nil {
						err = unix.Close(fd)
					}
					return err
				}))
			}
		}
	})
}
