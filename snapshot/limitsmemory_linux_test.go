package snapshot_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// groupRoom is the memory of the control group in TestLimitsMemoryGroup, in bytes.
const groupRoom = 64 << 20

// In a control group with little memory, the kernel writes copies to the disk and takes their
// memory back. On a filesystem in memory it cannot, and kills the process. Nothing is left of the
// copies.
//
//promise:snapshot in a memory cgroup copies on a disk take no memory that the kernel needs
//promise:snapshot in a memory cgroup the kernel kills the program for copies in memory
func TestLimitsMemoryGroup(t *testing.T) {
	if os.Getenv(limitEnv) != "" {
		fillGroup(t, os.Getenv(limitDir))
		return
	}
	mounttest.EachKind(t, mounttest.Known, func(t *testing.T, kind *mounttest.Kind) {
		if kind.Has(mounttest.Disk|mounttest.Reflinks) && fewFilesystems() {
			t.Skip("by default on a disk without reflinks alone, as it takes seconds")
		}
		mounttest.Leaks(t)
		dir := kind.Dir(t)
		t.Setenv(limitPlace, newMemoryGroup(t, groupRoom).dir)
		write(t, join(dir, "f"), fileContents())
		before := take(t, dir)
		out, err := (&limit{name: "memory"}).startLimited(t, dir)
		status, _ := err.(*exec.ExitError) //nolint:errorlint // exec returns exact values
		switch killed := status != nil && status.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL; {
		case kind.Has(mounttest.Memory) && !killed:
			t.Errorf("the kernel did not end the child: %v\n%s", err, out)
		case kind.Has(mounttest.Disk) && err != nil:
			t.Errorf("the child: %v\n%s", err, out)
		}
		if more := take(t, dir).over(before, kind.Slack()); more != "" {
			t.Error(more)
		}
	})
}

// fillGroup is the child.
func fillGroup(t *testing.T, dir string) {
	mounttest.Leaks(t)
	debug.SetGCPercent(20)
	must(t, memoryGroup{os.Getenv(limitPlace)}.join())
	commitThenRestore(t, dir)
	before := take(t, dir)
	var held []heldSnapshot
	defer closeHeld(&held)
	for i := range 2 * groupRoom / limitSize {
		m, err := openToStore(dir, i, limitSize)
		must(t, err)
		h := heldSnapshot{m, uint64(i), limitSize}
		held = append(held, h)
		must(t, h.view())
	}
	for i, h := range held {
		h.wantRead(t, fmt.Sprint(i))
	}
	must(t, closeHeld(&held))
	commitThenRestore(t, dir)
	wantNoMore(t, dir, before)
}
