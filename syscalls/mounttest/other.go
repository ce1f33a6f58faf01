//go:build !linux

package mounttest

import (
	"os"
	"syscall"
	"testing"
)

const needsLinux = missing("needs Linux")

func run(m *testing.M) int { return m.Run() }

func sharedRoot(kind string) (string, error) {
	if kind == "host" {
		return os.TempDir(), nil
	}
	return "", needsLinux
}

func fresh(string, int64, []string) (string, func() error, error) {
	return "", nil, needsLinux
}

func on(string, *os.File, []string) (string, func() error, error) {
	return "", nil, needsLinux
}

func kindOf(string) string { return "" }

func leaks(testing.TB) {}

func asUser(*testing.T, func(*testing.T), []string) error { return needsLinux }

func isUserChild() bool { return false }

func onThread(tb testing.TB, _ func() error) { tb.Skip(needsLinux) }

func become(int, int) error { return needsLinux }

func ownMounts() error { return needsLinux }

func refuse(uintptr, int, uint32, syscall.Errno) error { return needsLinux }
