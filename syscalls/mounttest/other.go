//go:build !linux

package mounttest

import (
	"os"
	"syscall"
	"testing"
)

const needsLinux = missing("needs Linux")

func run(m *testing.M) int { return m.Run() }

func hostRoot() (string, error) { return "", needsLinux }

func sharedRoot(*Kind) (string, error) { return "", needsLinux }

func available(*Kind) error { return needsLinux }

func mkfs(*Kind, string) error { return needsLinux }

func fresh(*Kind, int64) (string, func() error, error) { return "", nil, needsLinux }

func on(*Kind, *os.File) (string, func() error, error) { return "", nil, needsLinux }

func magicOf(string) (uint32, bool) { return 0, false }

func onHost(string) bool { return true }

func madeAt(string) *Kind { return nil }

func clones() bool { return false }

func lacks(...string) string { return string(needsLinux) }

func namespaceIsFirst() bool { return false }

func leaks(testing.TB) {}

func asUser(*testing.T, func(*testing.T), []string) error { return needsLinux }

func isUserChild() bool { return false }

func holdLease(tb testing.TB, _ string, _ func(_, _ func())) func() int {
	tb.Skip(needsLinux)
	return nil
}

func onThread(tb testing.TB, _ func() error) { tb.Skip(needsLinux) }

func become(int, int) error { return needsLinux }

func ownMounts() error { return needsLinux }

func hideProc() error { return needsLinux }

func refuse(uintptr, syscall.Errno) error { return needsLinux }

func refuseIf(uintptr, int, uint32, syscall.Errno) error { return needsLinux }
