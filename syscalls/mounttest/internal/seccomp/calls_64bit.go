//go:build linux && !(386 || arm || mips || mipsle)

package seccomp

// wide maps nothing: every call has one form.
var wide map[uintptr]uintptr
