package mounttest

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func onThread(tb testing.TB, f func() error) {
	tb.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends
		done <- f()
	}()
	if err := <-done; err != nil {
		tb.Fatal(err)
	}
}

// become makes the calls itself, because those of packages unix and syscall change all threads.
func become(uid, gid int) error {
	for _, call := range []struct {
		name    string
		nr      uintptr
		a, b, c uintptr
	}{
		{"setgroups", unix.SYS_SETGROUPS, 0, 0, 0},
		{"setresgid", unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
		{"setresuid", unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)},
	} {
		if _, _, err := unix.RawSyscall(call.nr, call.a, call.b, call.c); err != 0 {
			return fmt.Errorf("%s: %w", call.name, err)
		}
	}
	return nil
}

func ownMounts() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
}

func hideProc() error {
	if err := ownMounts(); err != nil {
		return err
	}
	return unix.Mount("tmpfs", "/proc", "tmpfs", unix.MS_RDONLY, "")
}

// lowerHalf is where the lower half of the first argument begins in struct seccomp_data, in which
// each argument has eight bytes.
var lowerHalf = 16 + 4*uint32(binary.NativeEndian.Uint16([]byte{0, 1})&1)

func refuse(call uintptr, arg int, value uint32, errno unix.Errno) error {
	form, ok := wide[call]
	if !ok {
		form = call
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(call), Jt: 1},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(form), Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: lowerHalf + 8*uint32(max(arg, 0))},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: value, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if arg < 0 {
		filter[3] = unix.SockFilter{Code: unix.BPF_LD | unix.BPF_IMM, K: value}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, err := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog))); err != 0 {
		return fmt.Errorf("seccomp: %w", err)
	}
	return nil
}
