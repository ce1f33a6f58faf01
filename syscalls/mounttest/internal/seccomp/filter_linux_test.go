package seccomp

import (
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// interpret runs a filter as the kernel does, with the instructions that program uses.
func interpret(t *testing.T, filter []unix.SockFilter, data []byte) uint32 {
	t.Helper()
	var a uint32
	for i := 0; i < len(filter); i++ {
		in := filter[i]
		passes := false
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = binary.NativeEndian.Uint32(data[in.K:])
			continue
		case unix.BPF_RET | unix.BPF_K:
			return in.K
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			passes = a == in.K
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			passes = a >= in.K
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			passes = a&in.K != 0
		default:
			t.Fatalf("instruction %d has code %#x", i, in.Code)
		}
		if passes {
			i += int(in.Jt)
		} else {
			i += int(in.Jf)
		}
	}
	t.Fatal("the filter ends without an answer")
	return 0
}

// Each call gets the answer of the first rule that fits. No rule applies to calls of other
// architectures.
func TestProgramAppliesFirstRule(t *testing.T) {
	filter, err := program([]Rule{
		{Call: 10, Errno: unix.EPERM, If: Condition{Equal, 1, 7}},
		{Call: 10, Errno: unix.EACCES, If: Condition{AnyBit, 5, 0x30}},
		{Call: 11, Errno: unix.ENOSYS},
		{Call: 10, Errno: unix.ENOTTY, If: Condition{Equal, 1, 8}},
		{Call: 11, Errno: unix.EIO},
	})
	if err != nil {
		t.Fatal(err)
	}
	own := archs[runtime.GOARCH]
	const allow = unix.SECCOMP_RET_ALLOW
	refuse := func(errno unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(errno) }
	for _, x := range []struct {
		name       string
		call, arch uint32
		args       [6]uint64
		want       uint32
	}{
		{"another call", 12, own, [6]uint64{}, allow},
		{"every call", 11, own, [6]uint64{}, refuse(unix.ENOSYS)},
		{"another value", 10, own, [6]uint64{7, 6}, allow},
		{"the value", 10, own, [6]uint64{0, 7}, refuse(unix.EPERM)},
		{"the value in the lower half", 10, own, [6]uint64{1: 1<<40 | 7}, refuse(unix.EPERM)},
		{"the value in the upper half", 10, own, [6]uint64{1: 7 << 32}, allow},
		{"another bit", 10, own, [6]uint64{5: 0xf}, allow},
		{"one of two bits", 10, own, [6]uint64{5: 0x28}, refuse(unix.EACCES)},
		{"both bits", 10, own, [6]uint64{5: 0x30}, refuse(unix.EACCES)},
		{"two rules fit", 10, own, [6]uint64{1: 7, 5: 0x10}, refuse(unix.EPERM)},
		{"the last rule for the call", 10, own, [6]uint64{1: 8}, refuse(unix.ENOTTY)},
		{"x32", x32 | 12, own, [6]uint64{}, refuse(unix.ENOSYS)},
		{"another architecture", 12, own ^ 1, [6]uint64{}, unix.SECCOMP_RET_KILL_PROCESS},
		{"another architecture, refused", 11, own ^ 1, [6]uint64{}, unix.SECCOMP_RET_KILL_PROCESS},
	} {
		var data [64]byte // struct seccomp_data
		binary.NativeEndian.PutUint32(data[offsetNumber:], x.call)
		binary.NativeEndian.PutUint32(data[offsetArch:], x.arch)
		for i, arg := range x.args {
			binary.NativeEndian.PutUint64(data[offsetArgs+8*i:], arg)
		}
		if got := interpret(t, filter, data[:]); got != x.want {
			t.Errorf("%s: %#x, want %#x", x.name, got, x.want)
		}
	}
}

func TestTooManyRules(t *testing.T) {
	if _, err := program(make([]Rule, maxFilter)); !errors.Is(err, unix.E2BIG) {
		t.Errorf("%v", err)
	}
}
