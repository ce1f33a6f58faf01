package mounttest_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// TestNothingIsLeft runs this binary with everything mounted, has it end in every way there is,
// and looks for mounts, loop devices, files and processes.
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

// startHelper starts cmd and waits until it is ready. wait returns all it printed.
func startHelper(t *testing.T, cmd *exec.Cmd) (tester int, wait func() string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var out bytes.Buffer
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fmt.Fprintln(&out, lines.Text())
		if _, err := fmt.Sscanf(lines.Text(), "ready %d", &tester); err == nil {
			return tester, func() string {
				// To the end of the pipe: no process may keep it, or "go test" would wait.
				for lines.Scan() {
					fmt.Fprintln(&out, lines.Text())
				}
				_ = cmd.Wait()
				return out.String()
			}
		}
	}
	t.Fatalf("the helper never got ready:\n%s", &out)
	return 0, nil
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

func wantSoonNone(t *testing.T, what string, find func() []string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	found := find()
	for ; len(found) > 0 && time.Now().Before(deadline); found = find() {
		time.Sleep(10 * time.Millisecond)
	}
	if len(found) > 0 {
		t.Errorf("left after a minute: %s %v", what, found)
	}
}

// loopDevices returns the devices whose image is, or was, in dir.
func loopDevices(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	return containing(names, dir)
}

// processes returns the processes that were started with dir as an argument or in their
// environment; for an ordinary user, those of its own. A dead process has neither.
func processes(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"/proc/[0-9]*/cmdline", "/proc/[0-9]*/environ"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, containing(names, dir)...)
	}
	return found
}

// containing returns the names of those files that hold text.
func containing(names []string, text string) []string {
	var found []string
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(data), text) {
			found = append(found, name)
		}
	}
	return found
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}
