package peers

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A job is what a child process does: one scenario with one peer. How it ends, alive or not, is
// what is wanted to know.
type job struct {
	Scenario, Peer, Dir string
}

const jobEnv = "PEERS_JOB"

// TestChild is the child. It prints what it saw.
func TestChild(t *testing.T) {
	env := os.Getenv(jobEnv)
	if env == "" {
		t.Skip("not a test: TestScenarios runs it in a process of its own")
	}
	var j job
	check(t, json.Unmarshal([]byte(env), &j))
	for _, s := range scenarios {
		if s.name == j.Scenario {
			fmt.Printf("\n%s%s\n", sawPrefix, s.peers[j.Peer](t, j.Dir))
		}
	}
}

const sawPrefix = "saw: "

func (j job) command(t *testing.T) *exec.Cmd {
	env, err := json.Marshal(j)
	check(t, err)
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
	cmd.Env = append(os.Environ(), jobEnv+"="+string(env))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// run returns what the child saw, or how it died.
func (j job) run(t *testing.T) string {
	cmd := j.command(t)
	out, err := combined(cmd, time.Minute)
	for line := range strings.Lines(out) {
		if saw, ok := strings.CutPrefix(line, sawPrefix); ok && err == nil {
			return strings.TrimSpace(saw)
		}
	}
	for line := range strings.Lines(out) {
		for _, sign := range []string{"SIGBUS", "SIGSEGV"} {
			if strings.Contains(line, "signal "+sign) {
				return "program dies: " + sign
			}
		}
	}
	if strings.Contains(out, "unexpected fault address") {
		return "program dies: unexpected fault address"
	}
	t.Logf("%v: %v\n%s", j, err, out)
	return fmt.Sprintf("failed: %v", err)
}

// combined runs a command for so long at most.
func combined(cmd *exec.Cmd, limit time.Duration) (string, error) {
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	timer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	return out.String(), err
}
