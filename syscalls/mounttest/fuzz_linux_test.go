package mounttest_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// FuzzDir fuzzes on a mounted filesystem, for TestFuzzWorkersWithSupervisor.
func FuzzDir(f *testing.F) {
	if os.Getenv(helperEnv) == "workers alone" {
		os.Unsetenv("MOUNTTEST_INNER") // so that each worker gets a supervisor
	}
	f.Add([]byte("text"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if test := os.Getenv(helperEnv); test != "" {
			parent, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", os.Getppid()))
			if alone := strings.Contains(string(parent), "-test.fuzzworker"); err != nil || alone != (test == "workers alone") {
				t.Fatalf("%s: the parent is %q, %v", test, parent, err)
			}
		}
		if os.Getenv(helperEnv) == "find" && len(data) != 4 {
			t.Fatal("found on purpose")
		}
		dir := mounttest.Dir(t, mounttest.Memory)
		if err := os.WriteFile(dir+"/file", data, 0o600); err != nil {
			t.Fatal(err)
		}
	})
}

// The process that coordinates the fuzzing talks to its workers by descriptors from 3, with and
// without a supervisor between them.
//
//promise:mounttest.Main descriptors of fuzz workers reach the child process
func TestFuzzWorkersWithSupervisor(t *testing.T) {
	t.Parallel()
	inputs := "300x"
	if testing.Short() {
		inputs = "30x"
	}
	for _, test := range []struct {
		workers, say string
		code         int
	}{
		{"workers inside", "\nPASS\n", 0},
		{"workers alone", "\nPASS\n", 0},
		{"find", "found on purpose", 1},
	} {
		t.Run(test.workers, func(t *testing.T) {
			dir := t.TempDir()
			cmd := rerun("none", helperEnv+"="+test.workers, "TMPDIR="+dir)
			cmd.Args = append(cmd.Args, "-test.fuzz=^FuzzDir$", "-test.fuzztime="+inputs,
				"-test.parallel=2", "-test.fuzzcachedir="+dir)
			cmd.Dir = dir // what it finds, it writes to testdata
			out, _ := cmd.CombinedOutput()
			wantExit(t, cmd, string(out), test.code, test.say)
			wantExit(t, cmd, string(out), test.code, "testing seed corpus: 1/1 completed")
		})
	}
}
