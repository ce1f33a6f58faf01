package syscalls_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

const testSignal = 61

var _ = describe(
	call{
		function: "ReadLeaseSignal", name: "fcntl F_SETLEASE", number: unix.SYS_FCNTL,
		do: func(f *files) error {
			return syscalls.ReadLeaseSignal(f.file(), unix.Gettid(), testSignal)
		},
		unsupported: errnos{syscall.EINVAL},
		failures:    errnos{syscall.EACCES, syscall.ENOLCK, syscall.ESRCH},
	},
	call{
		function: "BlockSignal", name: "rt_sigprocmask", number: none,
		do: func(*files) error { return second(syscalls.BlockSignal(65)) },
	},
	call{
		function: "AwaitSignal", name: "rt_sigtimedwait", number: unix.SYS_RT_SIGTIMEDWAIT,
		do: func(*files) error { return syscalls.AwaitSignal(testSignal, 0) },
	},
)

// onBlockedThread runs f on a thread that has the test's signal blocked, and ends after it.
func onBlockedThread(t *testing.T, f func(thread int)) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		thread, err := syscalls.BlockSignal(testSignal)
		if unix.Gettid() == unix.Getpid() {
			if !errors.Is(err, syscall.EBUSY) {
				t.Errorf("the first thread: %v", err)
			}
			onBlockedThread(t, f) // on another, since this goroutine has the first
			runtime.UnlockOSThread()
			return
		}
		if err != nil || thread != unix.Gettid() {
			t.Errorf("thread %d of %d, %v", thread, unix.Gettid(), err)
			return
		}
		var blocked uint64
		status, err := os.ReadFile("/proc/thread-self/status")
		if err != nil {
			t.Error(err)
		}
		_, mask, _ := strings.Cut(string(status), "SigBlk:")
		_, _ = fmt.Sscanf(mask, "%x", &blocked)
		if want := uint64(1<<(testSignal-1) | 1<<(unix.SIGIO-1)); blocked&want != want {
			t.Errorf("blocked: %x, want %x", blocked, want)
		}
		f(thread)
	}()
	<-done
}

// A process that breaks the lease has the kernel send the signal to the thread, where it waits until
// it is taken.
//
//promise:syscalls.ReadLeaseSignal the kernel sends the signal to the thread when a process opens the file for writing
//promise:syscalls.BlockSignal the signal and SIGIO are blocked, and AwaitSignal takes the signal later
//promise:syscalls.AwaitSignal AwaitSignal takes a pending signal, and is EAGAIN after the timeout if there is none
//promise:syscalls.BlockSignal the first thread of the process is EBUSY
func TestReadLeaseSignal(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		name := filepath.Join(dir, "file")
		must(t, os.WriteFile(name, nil, 0o600))
		fd := open(t, name, unix.O_RDONLY)
		onBlockedThread(t, func(thread int) {
			if err := syscalls.AwaitSignal(testSignal, time.Millisecond); !errors.Is(err, syscall.EAGAIN) {
				t.Errorf("no signal was sent: %v", err)
			}
			for _, timeout := range []time.Duration{0, time.Minute} {
				if err := syscalls.ReadLeaseSignal(fd, thread, testSignal); err != nil {
					t.Error(err)
				}
				wantLease(t, fd, syscalls.ReadLease)
				if w, err := unix.Open(name, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != unix.EAGAIN {
					t.Errorf("descriptor %d, %v", w, err)
				}
				if err := syscalls.AwaitSignal(testSignal, timeout); err != nil {
					t.Error(err)
				}
				if err := syscalls.SetLease(fd, syscalls.NoLease); err != nil {
					t.Error(err)
				}
			}
		})
		gone := 0 // a thread that has ended
		onBlockedThread(t, func(thread int) { gone = thread })
		for try := 0; try < 1000; try++ {
			err := syscalls.ReadLeaseSignal(fd, gone, testSignal)
			if errors.Is(err, syscall.ESRCH) {
				return
			}
			time.Sleep(time.Millisecond)
		}
		t.Error("a lease for a thread that has ended")
	})
}
