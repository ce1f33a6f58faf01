//go:build linux

// Package fusetest gives tests FUSE servers that misbehave on demand. Each is a process
// of its own: a page fault holds up the thread that has it and, with it, a processor of Go's
// scheduler, so that a server in the faulting process would wait for itself.
//
// A package opts in with
//
//	func TestMain(m *testing.M) { fusetest.Main(m) }
//
// A [Disk] is a file to put a real filesystem on, whose reads take time, wait or fail:
//
//	disk := fusetest.NewDisk(t, 512<<20)
//	dir := disk.Mount(t, mounttest.Kinds(mounttest.Disk)[0])
//	…
//	disk.Delay(t, 4*time.Millisecond)
//	disk.HoldReads(t, fusetest.Everything) // until disk.Heal(t)
//	disk.FailReads(t, disk.Find(t, page)...)
//
// A [Tree] is a directory shown as a FUSE filesystem, with what such filesystems lack, and fail with:
//
//	tree := fusetest.NewTree(t, dir, fusetest.TreeConfig{Lacks: []string{"TMPFILE"}})
//	tree.Fail(t, syscall.ENOSPC, "WRITE")
//	… // in tree.Dir()
//
// # How it ends
//
// A server serves until the pipe closes on which the test tells it what to do; the kernel
// closes that when the test's process ends for whatever reason. With the server goes the FUSE
// connection: all that waits for it gets an error, nothing waits forever, and the last process
// gone takes the mounts and loop devices with it, as package mounttest has it. The server of a tree
// has a descriptor of the directory that it shows, which keeps nothing else.
//
// # What cannot be had
//
// It needs root and /dev/fuse; fusermount is not needed. Without them tests are skipped with the
// reason, or fail if MOUNTTEST_REQUIRE is set.
package fusetest
