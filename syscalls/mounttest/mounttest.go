package mounttest

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// Main runs the tests and exits; it does not return. Call it as the whole of
// TestMain, or as its last statement: what stands before it runs twice, once in
// the process that supervises and once in the one that tests.
//
// The tests run in a child process with the same arguments, descriptors and
// working directory, in a mount namespace of its own if there is CAP_SYS_ADMIN.
// SIGINT, SIGTERM and SIGQUIT are passed on to it. The exit code is the child's,
// or 128 plus the number of the signal that killed it. The umask of
// the child is 022.
//
// TMPDIR names a fresh directory that is removed when the child ends for any
// reason, so what [testing.T.TempDir] and [os.CreateTemp] make does not outlive it.
//
// Processes that the tests start from their own binary see the same mounts.
// Off Linux, Main is os.Exit(m.Run()).
func Main(m *testing.M) {
	os.Exit(run(m))
}

// Fresh returns the root of a new, empty filesystem that this test alone uses, of size bytes, for
// tests that fill it or change how it is mounted: of the first kind in the table that has the
// properties and can be had. It is unmounted when the test ends, which fails if a file on it is
// still open or mapped.
//
// With size 0 it is small: see [Kind.Smallest]. A filesystem keeps part of its size for itself,
// and mkfs refuses one too small: at this writing XFS needs 300 MiB (64 of them for its log), Btrfs
// 16 MiB, ext4 and tmpfs less than 1 MiB. It takes about as long as the first [Dir].
func Fresh(tb testing.TB, p Property, size int64) string {
	tb.Helper()
	kinds := Kinds(p)
	for _, k := range kinds {
		if available(k) == nil {
			return k.Fresh(tb, size)
		}
	}
	if len(kinds) == 0 {
		tb.Fatalf("mounttest: no kind of filesystem has %v", p)
	}
	return kinds[0].Fresh(tb, size)
}

// Fresh is like the function [Fresh], for a filesystem of this kind.
func (k *Kind) Fresh(tb testing.TB, size int64) string {
	tb.Helper()
	if size == 0 {
		size = k.smallest
	}
	dir, unmount, err := fresh(k, size)
	return untilCleanup(tb, k, dir, unmount, err)
}

// On is like [Kind.Fresh], on a disk of the caller's own: what the filesystem reads and writes, it
// reads from image and writes to it, which mkfs overwrites first. It is for images on disks that
// are slow or fail. image may be closed when On has returned.
//
// The image is used by direct I/O if the filesystem that it lies on has that, so that the page
// cache of that one hides nothing, and many requests can be under way at once. Only kinds with
// [Disk] have it.
func (k *Kind) On(tb testing.TB, image *os.File) string {
	tb.Helper()
	dir, unmount, err := on(k, image)
	return untilCleanup(tb, k, dir, unmount, err)
}

// Mkfs makes a filesystem in a file, or on a device, for tests that mount it themselves, with
// [Kind.Options]. It skips the test where that kind cannot be had.
func (k *Kind) Mkfs(tb testing.TB, path string) {
	tb.Helper()
	if err := available(k); err != nil {
		tb.Skip(without(tb, k.label(), err))
	}
	if err := mkfs(k, path); err != nil {
		tb.Fatalf("mounttest: %v", err)
	}
}

// untilCleanup returns dir, which is unmounted when the test ends.
func untilCleanup(tb testing.TB, k *Kind, dir string, unmount func() error, err error) string {
	tb.Helper()
	if err != nil {
		tb.Skip(without(tb, k.label(), err))
	}
	tb.Cleanup(func() {
		if err := unmount(); err != nil {
			tb.Errorf("mounttest: %v", err)
		}
	})
	return dir
}

// missing is the reason why something cannot be had here, which skips a test. Any
// other error is a fault, and fails it.
type missing string

func (m missing) Error() string { return string(m) }

// without returns why a test cannot have what it asked for. It ends the test if that is no such
// reason, or if MOUNTTEST_REQUIRE says that it must be had.
func without(tb testing.TB, what string, err error) (reason string) {
	tb.Helper()
	if _, ok := errors.AsType[missing](err); !ok || required(tb, what) {
		tb.Fatalf("mounttest: %s: %v", what, err)
	}
	return what + ": " + err.Error()
}

// required reports whether MOUNTTEST_REQUIRE names what. A name there that means
// nothing fails the test: it was meant to require something.
func required(tb testing.TB, what string) bool {
	tb.Helper()
	list := os.Getenv("MOUNTTEST_REQUIRE")
	if list == "" {
		return false
	}
	want := strings.Split(list, ",")
	for _, name := range want {
		if !slices.Contains(names(), name) {
			tb.Fatalf("mounttest: MOUNTTEST_REQUIRE=%q: unknown name %q", list, name)
		}
	}
	return slices.Contains(want, what)
}
