package mounttest

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// kinds is every kind there is, in the order Each runs them; constant.
var kinds = []string{"xfs", "btrfs", "ext4", "tmpfs", "host"}

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

// Each runs f once for every kind, as a subtest of that name with a fresh empty
// directory: "xfs", "btrfs", "ext4", "tmpfs", and "host", which is whatever
// filesystem the machine keeps temporary files on. See [Dir].
func Each(t *testing.T, f func(t *testing.T, dir string)) {
	t.Helper()
	EachOf(t, kinds, f)
}

// EachOf is like [Each], for the given kinds only.
func EachOf(t *testing.T, kinds []string, f func(t *testing.T, dir string)) {
	t.Helper()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) { f(t, Dir(t, kind)) })
	}
}

// Dir returns a fresh empty directory on a filesystem of the given kind. It is
// removed with all it holds when the test ends.
//
// All directories of one kind lie on one filesystem, 16 GiB in size but sparse,
// which is made when first asked for and shared by every test of this binary. The
// directory has mode 0755, and everyone may search those above it, up to the one
// that TMPDIR named before [Main].
//
// A kind that cannot be had skips the test with the reason, see the package
// documentation. A kind that should work and does not fails the test.
func Dir(tb testing.TB, kind string) string {
	tb.Helper()
	root, err := sharedRoot(kind)
	if err != nil {
		without(tb, kind, err)
	}
	dir, err := os.MkdirTemp(root, "dir-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("mounttest: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// Fresh returns the root of a new filesystem that this test alone uses, of size
// bytes, for tests that fill it or change how it is mounted. It is unmounted when
// the test ends, which fails if a file on it is still open or mapped.
//
// mkfsArgs are passed on to mkfs: "-m", "reflink=0" for an XFS without reflinks,
// "--mixed" for a small Btrfs. There is none for tmpfs.
//
// A filesystem keeps part of size for itself, and mkfs refuses one too small:
// at this writing XFS needs 300 MiB (64 of them for its log), Btrfs 110 MiB (with
// "--mixed", 16 MiB), ext4 less than 1 MiB. It takes about as long as the first [Dir].
// "host" is skipped.
func Fresh(tb testing.TB, kind string, size int64, mkfsArgs ...string) string {
	tb.Helper()
	dir, unmount, err := fresh(kind, size, mkfsArgs)
	return untilCleanup(tb, kind, dir, unmount, err)
}

// On is like [Fresh], on a disk of the caller's own: what the filesystem reads and
// writes, it reads from image and writes to it, which mkfs overwrites first. It is for
// images on disks that are slow or fail. image may be closed when On has returned.
//
// The image is used by direct I/O if the filesystem that it lies on has that, so
// that the page cache of that one hides nothing, and many requests can be under way
// at once. There is none for tmpfs.
func On(tb testing.TB, kind string, image *os.File, mkfsArgs ...string) string {
	tb.Helper()
	dir, unmount, err := on(kind, image, mkfsArgs)
	return untilCleanup(tb, kind, dir, unmount, err)
}

// untilCleanup returns dir, which is unmounted when the test ends.
func untilCleanup(tb testing.TB, kind, dir string, unmount func() error, err error) string {
	tb.Helper()
	if err != nil {
		without(tb, kind, err)
	}
	tb.Cleanup(func() {
		if err := unmount(); err != nil {
			tb.Errorf("mounttest: %v", err)
		}
	})
	return dir
}

// Kind returns the kind of the filesystem that path lies on: "xfs", "btrfs",
// "ext4" or "tmpfs", or "" if it is another or cannot be told. Only Linux can tell;
// there, ext2 and ext3 are "ext4" too. It says what to expect of a "host" directory.
func Kind(path string) string {
	return kindOf(path)
}

// missing is the reason why something cannot be had here, which skips a test. Any
// other error is a fault, and fails it.
type missing string

func (m missing) Error() string { return string(m) }

// without ends a test that cannot have what it asked for.
func without(tb testing.TB, what string, err error) {
	tb.Helper()
	var reason missing
	if errors.As(err, &reason) && !required(tb, what) {
		tb.Skipf("%s: %v", what, err)
	}
	tb.Fatalf("mounttest: %s: %v", what, err)
}

// required reports whether MOUNTTEST_REQUIRE names what. A name there that means
// nothing fails the test: it was meant to require something.
func required(tb testing.TB, what string) bool {
	tb.Helper()
	list := os.Getenv("MOUNTTEST_REQUIRE")
	if list == "" {
		return false
	}
	names := strings.Split(list, ",")
	for _, name := range names {
		if name != "user" && !slices.Contains(kinds, name) {
			tb.Fatalf("mounttest: MOUNTTEST_REQUIRE=%q: unknown name %q", list, name)
		}
	}
	return slices.Contains(names, what)
}
