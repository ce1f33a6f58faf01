package seccomp

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Install makes the calls that rules name fail from now on, on this thread, in the threads and
// processes that it starts, and after exec. The first rule that fits a call decides. On a 32-bit
// system a rule is also for the 64-bit form of the call (fcntl64 for fcntl). Install sets
// no_new_privs. A filter cannot be removed; a second one refuses more calls.
//
// A process that makes a system call of another architecture is killed, because numbers mean other
// calls there: on linux/amd64, a program for linux/386 cannot run under a filter. The x32 calls of
// amd64 fail with ENOSYS.
func Install(rules []Rule) error {
	filter, err := program(rules)
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl PR_SET_NO_NEW_PRIVS: %w", err)
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0,
		uintptr(unsafe.Pointer(&prog))); errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return nil
}

// Offsets in struct seccomp_data of linux/seccomp.h. Each argument has eight bytes.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
)

// maxFilter is BPF_MAXINSNS of linux/bpf_common.h.
const maxFilter = 4096

// x32 is the bit of the x32 calls on amd64, which share the architecture with the others. No other
// architecture has numbers as large.
const x32 = 0x40000000

// program compiles rules.
func program(rules []Rule) ([]unix.SockFilter, error) {
	arch, ok := archs[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("seccomp on %s: %w", runtime.GOARCH, unix.ENOTSUP)
	}
	filter := []unix.SockFilter{
		load(offsetArch),
		skipUnless(unix.BPF_JEQ, arch, 3),
		load(offsetNumber),
		skipUnless(unix.BPF_JGE, x32, 2),
		ret(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)),
		ret(unix.SECCOMP_RET_KILL_PROCESS),
	}
	for _, r := range bothForms(rules) {
		refuse := ret(unix.SECCOMP_RET_ERRNO | uint32(r.Errno)&unix.SECCOMP_RET_DATA)
		if r.If.Test == Always {
			filter = append(filter, skipUnless(unix.BPF_JEQ, uint32(r.Call), 1), refuse)
			continue
		}
		test := uint16(unix.BPF_JEQ)
		if r.If.Test == AnyBit {
			test = unix.BPF_JSET
		}
		filter = append(filter,
			skipUnless(unix.BPF_JEQ, uint32(r.Call), 4),
			load(offsetArgs+8*uint32(r.If.Arg)+lowerHalf()),
			skipUnless(test, r.If.Value, 1),
			refuse,
			load(offsetNumber), // for the next rule
		)
	}
	filter = append(filter, ret(unix.SECCOMP_RET_ALLOW))
	if len(filter) > maxFilter {
		return nil, fmt.Errorf("seccomp: %d rules: %w", len(rules), unix.E2BIG)
	}
	return filter, nil
}

// bothForms adds a rule for the 64-bit form of each call that has one.
func bothForms(rules []Rule) (all []Rule) {
	for _, r := range rules {
		all = append(all, r)
		if form, ok := wide[r.Call]; ok {
			r.Call = form
			all = append(all, r)
		}
	}
	return all
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

// skipUnless goes n instructions further if what was loaded does not pass the test.
func skipUnless(test uint16, value uint32, n uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | test | unix.BPF_K, K: value, Jf: n}
}

func ret(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}

// lowerHalf returns the offset of the lower 32 bits in an argument.
func lowerHalf() uint32 {
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 { // big-endian
		return 4
	}
	return 0
}

// archs holds the AUDIT_ARCH of each GOARCH.
var archs = map[string]uint32{
	"386":      unix.AUDIT_ARCH_I386,
	"amd64":    unix.AUDIT_ARCH_X86_64,
	"arm":      unix.AUDIT_ARCH_ARM,
	"arm64":    unix.AUDIT_ARCH_AARCH64,
	"loong64":  unix.AUDIT_ARCH_LOONGARCH64,
	"mips":     unix.AUDIT_ARCH_MIPS,
	"mips64":   unix.AUDIT_ARCH_MIPS64,
	"mips64le": unix.AUDIT_ARCH_MIPSEL64,
	"mipsle":   unix.AUDIT_ARCH_MIPSEL,
	"ppc64":    unix.AUDIT_ARCH_PPC64,
	"ppc64le":  unix.AUDIT_ARCH_PPC64LE,
	"riscv64":  unix.AUDIT_ARCH_RISCV64,
	"s390x":    unix.AUDIT_ARCH_S390X,
}
