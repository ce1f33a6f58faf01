package mounttest

import "testing"

// Need skips the test if this process lacks a capability of that name ("CAP_CHOWN"; see
// capabilities(7)), with the name as the reason. That it has uid 0 says nothing: in a container,
// root has some of them. Off Linux there are none.
//
// Those that change owners and users are of no use in a user namespace that has no other users:
// that, too, skips the test.
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
