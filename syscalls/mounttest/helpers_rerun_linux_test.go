package mounttest_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// helperEnv says to the helper tests how to end; unset, they skip.
const helperEnv = "MOUNTTEST_HELPER"

// fastExit keeps a process built with -race from sleeping a second when it exits.
const fastExit = "GORACE=atexit_sleep_ms=0"

// rerun is this test binary from the start, supervisor and all, to run one test.
func rerun(test string, env ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", "-test.v", "-test.run=^"+test+"$")
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "MOUNTTEST_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, fastExit)
	cmd.Env = append(cmd.Env, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// helper returns how to end, or skips a helper test that runs for no other test.
func helper(t *testing.T) string {
	t.Helper()
	end := os.Getenv(helperEnv)
	if end == "" {
		t.Skip("not a test: other tests run it in a process of its own")
	}
	return end
}

// wantExit checks how a command ended and what it said.
func wantExit(t *testing.T, cmd *exec.Cmd, out string, code int, say string) {
	t.Helper()
	if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(out, say) {
		t.Errorf("%v: exit code %d, want %d and %q in:\n%s", cmd.Args, got, code, say, out)
	}
}
