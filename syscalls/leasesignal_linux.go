package syscalls

import (
	"math/bits"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func readLeaseSignal(fd, thread, signal int) error {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETSIG, signal); err != nil {
		return err
	}
	owner := struct{ kind, id int32 }{0 /* F_OWNER_TID */, int32(thread)}
	_, _, errno := unix.Syscall(unix.SYS_FCNTL, uintptr(fd), unix.F_SETOWN_EX,
		uintptr(unsafe.Pointer(&owner)))
	if errno != 0 {
		return errno
	}
	// F_SETLEASE makes this process the owner only if there is none (fs/locks.c, lease_setup).
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK)
	return err
}

// A sigset is the kernel's sigset_t, an array of unsigned long, and longer than any kernel reads.
type sigset [128 / unsafe.Sizeof(uintptr(0))]uintptr

func sigsetOf(signal int) (set sigset, err error) {
	if signal < 1 || signal > 64 {
		return set, unix.EINVAL
	}
	bit := signal - 1
	set[bit/bits.UintSize] = 1 << (bit % bits.UintSize)
	return set, nil
}

// sigsetSize is what the kernel expects as the size of a set: MIPS has 128 signals, all others 64.
func sigsetSize() uintptr {
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		return 16
	}
	return 8
}

func blockSignal(signal int) (int, error) {
	set, err := sigsetOf(signal)
	if err != nil {
		return -1, err
	}
	bit := int(unix.SIGIO) - 1
	set[bit/bits.UintSize] |= 1 << (bit % bits.UintSize)
	const sigBlock = 0
	how := uintptr(sigBlock)
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		how = 1 // SIG_BLOCK of arch/mips/include/uapi/asm/signal.h
	}
	if unix.Gettid() == unix.Getpid() {
		return -1, unix.EBUSY
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK,
		how, uintptr(unsafe.Pointer(&set)), 0, sigsetSize(), 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return unix.Gettid(), nil
}

func awaitSignal(signal int, timeout time.Duration) error {
	set, err := sigsetOf(signal)
	if err != nil {
		return err
	}
	ts := unix.NsecToTimespec(int64(timeout))
	_, _, errno := unix.Syscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&set)), 0,
		uintptr(unsafe.Pointer(&ts)), sigsetSize(), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
