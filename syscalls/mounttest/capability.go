package mounttest

import "testing"

// Need skips the test if this process lacks one of the capabilities (see capabilities(7)), with its
// name as the reason. The user id decides nothing: in a container, root has some of them. Off Linux
// there are none.
//
// A capability to change owners or users is useless in a user namespace without the user and group
// of [AsUser]: there, too, the test is skipped.
//
// It panics if the name is none of CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_LEASE,
// CAP_LINUX_IMMUTABLE, CAP_MKNOD, CAP_SETFCAP, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN and
// CAP_SYS_RESOURCE.
func Need(tb testing.TB, capabilities ...string) {
	tb.Helper()
	if reason := lacks(capabilities...); reason != "" {
		tb.Skip(reason)
	}
}

// Can reports whether this process has the capabilities, and so whether [Need] goes on.
func Can(capabilities ...string) bool { return lacks(capabilities...) == "" }

// CanSetTrusted reports whether this process may set trusted.* attributes, which takes
// CAP_SYS_ADMIN outside of any user namespace.
func CanSetTrusted() bool { return Can("CAP_SYS_ADMIN") && namespaceIsFirst() }
