package mounttest

import "testing"

// AsUser runs f as an ordinary user, for tests of permissions, which root does not
// feel: as uid and gid 65534, in no other group, with no capabilities, in a child
// process. It fails the test if f fails there, and skips it if f skips.
//
// The child is this test binary, told to run the calling test alone. So what
// stands before AsUser in the test runs in the child as well, and as that user; what
// stands after it does not. Call it at most once in a test (or subtest), with env
// to hand over what was prepared as root:
//
//	var path string
//	if !mounttest.IsUserChild() {
//		path = prepare(t)
//	}
//	mounttest.AsUser(t, func(t *testing.T) {
//		path := os.Getenv("TEST_PATH")
//		…
//	}, "TEST_PATH="+path)
//
// The child sees the same mounts, and [Dir] gives it directories of its own on
// them. It has the environment and the working directory of this process. Its
// output is shown if it fails, or if the tests run with -v.
//
// The test is skipped if this process may not become another user, or if others may not search a
// directory above the one for temporary files. It costs a start of the test
// binary, and the first time those filesystems that [Dir] has not made yet.
func AsUser(t *testing.T, f func(t *testing.T), env ...string) {
	t.Helper()
	if err := asUser(t, f, env); err != nil {
		t.Skip(without(t, "user", err))
	}
}

// IsUserChild reports whether this is a child process that [AsUser] started.
func IsUserChild() bool {
	return isUserChild()
}
