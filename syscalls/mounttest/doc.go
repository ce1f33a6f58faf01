// Package mounttest gives tests directories on real filesystems: XFS, Btrfs,
// ext4 and tmpfs, whatever the machine itself runs on, and leaves nothing behind.
//
// A package opts in with
//
//	func TestMain(m *testing.M) { mounttest.Main(m) }
//
// and asks for directories where it needs them:
//
//	func TestRename(t *testing.T) {
//		mounttest.Each(t, func(t *testing.T, dir string) {
//			// runs as TestRename/xfs, TestRename/btrfs, …
//		})
//	}
//
// A test that depends on what a filesystem can do asks for that, and not for a name: [Kinds] has
// the table.
//
//	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) { … })
//	dir := mounttest.Dir(t, mounttest.Disk|mounttest.NoReflinks)
//
// With -short, [Each], [EachOf] and [EachKind] run a test on two kinds, one with reflinks and one
// without, which takes about half the time.
//
// One that depends on what the process may do says so by [Need], [AsUser] or [CanSetTrusted].
// [WantFile] and [WantNames] check the files that are there afterwards.
//
// # How it works
//
// Main runs the test binary again as a child in a mount namespace of its own, so
// no other process sees what is mounted there. Filesystems are made when first
// asked for, on loop devices over sparse image files that have no name. The
// kernel gives all of it back when the last process in the namespace is gone, so a
// panic, a time-out or kill -9 leaves no mount, no loop device and no file.
//
// Only processes that a test starts, and that live longer than the test binary,
// keep the namespace (though not the temporary directory) alive.
//
// # Cost
//
// Measured on a virtual machine with two processors, the filesystems while it was
// otherwise idle (a busy one takes up to five times as long), Main while it was
// busy. The last column is what an image of 16 GiB takes of the machine's disk once mounted.
//
//	Main    50 ms     one more start of the test binary, and of sh
//	xfs     30 ms     64 MiB, reserved for its log rather than written
//	btrfs   50 ms     5 MiB
//	ext4    30 ms     4 MiB
//	tmpfs    0 ms     nothing
//
// # What cannot be had
//
// Mounting needs CAP_SYS_ADMIN, /dev/loop-control, mkfs for the filesystem, and a
// kernel that knows it. A test that asks for a kind that cannot be had is skipped
// with the reason. The environment variable MOUNTTEST_REQUIRE turns such skips
// into failures: a comma list of kinds, and "user" for [AsUser]. A continuous
// integration job that means to test filesystems sets
//
//	MOUNTTEST_REQUIRE=xfs,btrfs,ext4,tmpfs,user
//
// The reason names what is missing: "no CAP_SYS_ADMIN", "mkfs.xfs not found in PATH".
//
// Off Linux, every test that asks for a directory is skipped: "needs Linux".
package mounttest
