//go:build linux && (386 || arm || mips || mipsle)

package seccomp

import "golang.org/x/sys/unix"

// wide maps the calls that have a 64-bit form on 32-bit systems to that form, which is the one that
// Go makes.
var wide = map[uintptr]uintptr{
	unix.SYS_FCNTL:     unix.SYS_FCNTL64,
	unix.SYS_FSTAT:     unix.SYS_FSTAT64,
	unix.SYS_FSTATFS:   unix.SYS_FSTATFS64,
	unix.SYS_FTRUNCATE: unix.SYS_FTRUNCATE64,
	unix.SYS_LSEEK:     unix.SYS__LLSEEK,
}
