package mounttest_test

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// TestNothingIsLeft runs this binary with everything mounted, has it end in every way there is,
// and looks for mounts, loop devices, files and processes.
//
//promise:mounttest.Main no end of the tests leaves a mount, a loop device, a file or a process
//promise:mounttest.Main Main exits with the exit code of the tests
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	devices := 0
	for _, kind := range mounttest.Kinds(mounttest.Disk) {
		t.Run(kind.String(), func(t *testing.T) {
			kind.Dir(t)
			devices++
		})
	}
	for _, test := range []struct {
		end  string
		kill func(supervisor, tester int) error // nil: it ends by itself
		code int                                // -1: killed by a signal
		say  string
	}{
		{end: "return", code: 0, say: "--- PASS: TestHelperEnds"},
		{end: "fail", code: 1, say: "--- FAIL: TestHelperEnds"},
		{end: "exit", code: 7},
		{end: "panic", code: 2, say: "panic: on purpose"},
		{end: "timeout", code: 2, say: "panic: test timed out after 15s"},
		{"kill tester", func(_, tester int) error { return syscall.Kill(tester, syscall.SIGKILL) }, 137, "killed by signal 9 (killed)"},
		{"kill supervisor", func(supervisor, _ int) error { return syscall.Kill(supervisor, syscall.SIGKILL) }, -1, ""},
		{"interrupt", func(supervisor, _ int) error { return syscall.Kill(supervisor, syscall.SIGINT) }, 130, "killed by signal 2 (interrupt)"},
		{"terminate", func(supervisor, _ int) error { return syscall.Kill(supervisor, syscall.SIGTERM) }, 143, "killed by signal 15 (terminated)"},
		{"quit", func(supervisor, _ int) error { return syscall.Kill(supervisor, syscall.SIGQUIT) }, 2, "SIGQUIT: quit"},
		{"hang up", func(supervisor, _ int) error { return syscall.Kill(-supervisor, syscall.SIGHUP) }, -1, ""},
	} {
		t.Run(test.end, func(t *testing.T) {
			t.Parallel()
			if test.end == "timeout" && testing.Short() {
				t.Skip("takes 15 s")
			}
			if test.end == "hang up" && signal.Ignored(syscall.SIGHUP) {
				t.Skip("SIGHUP is ignored, as by nohup(1), and the processes of the test inherit that")
			}
			tmp := t.TempDir()
			cmd := rerun("TestHelperEnds", helperEnv+"="+test.end, "TMPDIR="+tmp)
			timeout := "1m"
			if test.end == "timeout" {
				timeout = "15s"
			}
			cmd.Args = append(cmd.Args, "-test.timeout="+timeout)
			tester, wait := startHelper(t, cmd)

			if got := loopDevices(t, tmp); len(got) != devices {
				t.Errorf("loop devices %v while it runs, want %d", got, devices)
			}
			wantNoMounts(t, tmp)
			if got := processes(t, tmp); len(got) < 2 {
				t.Errorf("processes %v while it runs, want some", got)
			}
			if test.kill != nil {
				if err := test.kill(cmd.Process.Pid, tester); err != nil {
					t.Error(err)
				}
			} else if err := syscall.Kill(tester, syscall.SIGUSR1); err != nil {
				t.Error(err)
			}
			wantExit(t, cmd, wait(), test.code, test.say)
			wantNoMounts(t, tmp)
			wantSoonNone(t, "loop devices", func() []string { return loopDevices(t, tmp) })
			wantSoonNone(t, "processes", func() []string { return processes(t, tmp) })
			wantSoonNone(t, "files", func() []string { return files(t, tmp) })
		})
	}
}

// TestHelperEnds mounts what it can, leaves files, and ends when it is told to.
func TestHelperEnds(t *testing.T) {
	end := helper(t)
	mounttest.Each(t, func(*testing.T, string) {})
	f, err := os.CreateTemp("", "left-")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.WriteFile(filepath.Join(t.TempDir(), "left"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	fmt.Printf("ready %d\n", os.Getpid())
	<-told
	switch end {
	case "fail":
		t.Fail()
	case "exit":
		os.Exit(7)
	case "panic":
		panic("on purpose")
	case "timeout":
		select {}
	}
}

// wantNoMounts checks that neither this namespace nor the one that the supervisor lives in sees
// a mount below dir.
func wantNoMounts(t *testing.T, dir string) {
	t.Helper()
	for _, pid := range []int{os.Getpid(), os.Getppid()} {
		name := fmt.Sprintf("/proc/%d/mountinfo", pid)
		mounts, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
		}
		if bytes.Contains(mounts, []byte(dir)) {
			t.Errorf("%s is mounted on:\n%s", dir, mounts)
		}
	}
}
