package mounttest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

//promise:mounttest.AsUser f runs as user and group 65534, with no other group and no capability
//promise:mounttest.IsUserChild IsUserChild is true in the child process
func TestAsUser(t *testing.T) {
	var closed, given string
	if !mounttest.IsUserChild() {
		closed, given = mounttest.Dir(t, mounttest.Host), mounttest.Dir(t, mounttest.Host)
		if err := os.Chown(given, 65534, 65534); err != nil && os.Geteuid() == 0 {
			t.Fatal(err)
		}
	}
	mounttest.AsUser(t, func(t *testing.T) {
		if !mounttest.IsUserChild() {
			t.Error("IsUserChild() is false in the child")
		}
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"\nUid:\t65534\t65534\t65534\t65534\n", "\nGid:\t65534\t65534\t65534\t65534\n", "\nGroups:\t \n",
			"\nCapPrm:\t0000000000000000\n", "\nCapEff:\t0000000000000000\n", "\nCapAmb:\t0000000000000000\n",
		} {
			if !strings.Contains(string(status), want) {
				t.Errorf("/proc/self/status lacks %q:\n%s", want, status)
			}
		}
		if err := os.WriteFile(filepath.Join(os.Getenv("TEST_CLOSED"), "file"), nil, 0o600); !errors.Is(err, os.ErrPermission) {
			t.Errorf("write to a directory of root's: %v", err)
		}
		if err := os.WriteFile(filepath.Join(os.Getenv("TEST_GIVEN"), "file"), nil, 0o600); err != nil {
			t.Errorf("write to a directory of its own: %v", err)
		}
	}, "TEST_CLOSED="+closed, "TEST_GIVEN="+given, fastExit)

	// What stands here, the child does not run.
	if mounttest.IsUserChild() {
		t.Error("the child came back from AsUser")
	}
	if _, err := os.Stat(filepath.Join(given, "file")); err != nil {
		t.Errorf("the child did not run: %v", err)
	}
}

// In a child, every kind is there that root has, as subtests and inside.
//
//promise:mounttest.AsUser the child has directories on each filesystem
func TestAsUserEach(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		kind := mounttest.KindOf(dir)
		host := filepath.Base(t.Name()) == "host"
		mounttest.AsUser(t, func(t *testing.T) {
			own := ""
			if host {
				own = mounttest.Dir(t, mounttest.Host)
			} else {
				own = kind.Dir(t)
			}
			for _, dir := range []string{dir, own} {
				if got := mounttest.KindOf(dir); got != kind {
					t.Errorf("KindOf(%s) = %q, want %q", dir, got, kind)
				}
				if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
					t.Error(err)
				}
			}
		}, fastExit)
	})
}

// needUser skips the test if its helper could not run anything as another user.
func needUser(t *testing.T) {
	t.Helper()
	can := false
	t.Run("user", func(t *testing.T) {
		mounttest.AsUser(t, func(*testing.T) {}, fastExit)
		can = true
	})
	if !can {
		t.Skip("see the subtest")
	}
}

// What the child comes to, the test comes to.
//
//promise:mounttest.AsUser the test fails or is skipped as in the child
func TestAsUserVerdict(t *testing.T) {
	t.Parallel()
	needUser(t)
	for _, test := range []struct {
		end, say string
		code     int
	}{
		{"pass", "\n--- PASS: TestHelperAsUser (", 0},
		{"error", "\n--- FAIL: TestHelperAsUser (", 1},
		{"fatal", "\n--- FAIL: TestHelperAsUser (", 1},
		{"panic", "panic: on purpose", 1},
		{"skip", "\n--- SKIP: TestHelperAsUser (", 0},
		{"early skip", "the child did not come to call AsUser", 1},
	} {
		t.Run(test.end, func(t *testing.T) {
			if testing.Short() && (test.end == "fatal" || test.end == "panic") {
				t.Skip("the subtest error fails in the same way")
			}
			cmd := rerun("TestHelperAsUser", helperEnv+"="+test.end)
			out, _ := cmd.CombinedOutput()
			wantExit(t, cmd, string(out), test.code, test.say)
		})
	}
}

func TestHelperAsUser(t *testing.T) {
	end := helper(t)
	if end == "early skip" && mounttest.IsUserChild() {
		t.Skip("on purpose")
	}
	mounttest.AsUser(t, func(t *testing.T) {
		switch end {
		case "error":
			t.Error("on purpose")
		case "fatal":
			t.Fatal("on purpose")
		case "panic":
			panic("on purpose")
		case "skip":
			t.Skip("on purpose")
		}
	})
}

// TestWithoutRoot runs this binary from the start as an ordinary user.
//
//promise:mounttest.Main a test without its filesystem is skipped with the reason
//promise:mounttest.Main MOUNTTEST_REQUIRE makes a skipped test a failure
func TestWithoutRoot(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, tests string, code int, say []string, env ...string) {
		cmd := rerun("("+tests+")", append(env, "TMPDIR="+t.TempDir())...)
		cmd.Args = append(cmd.Args, "-test.skip=/timeout") // is slow
		out, _ := cmd.CombinedOutput()
		for _, say := range say {
			wantExit(t, cmd, string(out), code, say)
		}
	}
	mounttest.AsUser(t, func(t *testing.T) {
		run(t, "TestEach|TestAsUser|TestNothingIsLeft", 0, []string{
			"--- SKIP: TestEach/xfs", "xfs: no CAP_SYS_ADMIN",
			"--- SKIP: TestEach/tmpfs", "tmpfs: no CAP_SYS_ADMIN",
			"--- PASS: TestEach/host",
			"--- SKIP: TestAsUser", "user: no CAP_SETUID",
			"--- PASS: TestNothingIsLeft/kill_supervisor",
		})
		run(t, "TestEach|TestAsUser", 1, []string{
			"--- FAIL: TestEach/xfs", "mounttest: xfs: no CAP_SYS_ADMIN",
			"--- SKIP: TestEach/btrfs", "--- FAIL: TestAsUser (",
		}, "MOUNTTEST_REQUIRE=xfs,user")
		run(t, "TestEach", 1, []string{`MOUNTTEST_REQUIRE="xsf": unknown name "xsf"`}, "MOUNTTEST_REQUIRE=xsf")
	})
}

// A child that AsUser started dies with the process that tests.
func TestAsUserChildDies(t *testing.T) {
	needUser(t)
	tmp := mounttest.Dir(t, mounttest.Host)
	cmd := rerun("TestHelperUserHangs", helperEnv+"=hang", "TMPDIR="+tmp)
	_, wait := startHelper(t, cmd)
	if err := syscall.Kill(cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	wait()
	wantSoonNone(t, "processes", func() []string { return processes(t, tmp) })
	wantSoonNone(t, "files", func() []string { return files(t, tmp) })
}

func TestHelperUserHangs(t *testing.T) {
	helper(t)
	started := filepath.Join(os.TempDir(), "started")
	if !mounttest.IsUserChild() {
		go func() {
			for {
				if _, err := os.Stat(started); err == nil {
					fmt.Println("ready 0")
					return
				}
				time.Sleep(time.Millisecond)
			}
		}()
	}
	mounttest.AsUser(t, func(t *testing.T) {
		if err := os.WriteFile(started, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // not select {}, which the runtime ends as a deadlock
	})
}
