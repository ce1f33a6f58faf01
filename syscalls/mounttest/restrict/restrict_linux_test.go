package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// roleEnv makes this test binary the launcher, or the command that the launcher starts.
const roleEnv = "RESTRICT_TEST"

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "launcher":
		_ = os.Setenv(roleEnv, "command")
		main()
	case "command":
		command(os.Args[1])
	}
	os.Exit(m.Run())
}

// command prints how system calls end and who it is, and ends as it is told.
func command(end string) {
	var stx unix.Statx_t
	say := func(what string, result any) { fmt.Printf("%s: %v\n", what, result) }
	say("pid", os.Getpid())
	say("uid", os.Getuid())
	say("gid", os.Getgid())
	groups, _ := os.Getgroups()
	say("groups", groups)
	say("statx", unix.Statx(unix.AT_FDCWD, "/", 0, unix.STATX_TYPE, &stx))
	say("FICLONE", unix.IoctlFileClone(-1, -1))
	_, err := unix.IoctlGetInt(-1, unix.TIOCGPGRP)
	say("TIOCGPGRP", err)
	_, _, errno := unix.Syscall(unix.SYS_CLONE3, 0, 0, 0)
	say("clone3", errno)
	say("unshare", unix.Unshare(unix.CLONE_FS))
	child := exec.Command("/proc/self/exe", "exit")
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
	say("new user namespace", child.Start())
	thread := make(chan error)
	go func() { thread <- unix.Statx(unix.AT_FDCWD, "/", 0, unix.STATX_TYPE, &stx) }()
	say("statx beside", <-thread)
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "Cap") || strings.HasPrefix(line, "NoNewPrivs") {
			fmt.Print(line)
		}
	}
	if end == "signal" {
		_ = unix.Kill(os.Getpid(), unix.SIGTERM)
		_ = unix.Pause()
	}
	os.Exit(42)
}

// launch runs the command under the launcher.
func launch(t *testing.T, args ...string) (*exec.Cmd, string, error) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), roleEnv+"=launcher")
	out, err := cmd.CombinedOutput()
	return cmd, string(out), err
}

// plain returns a line of what the command prints when it is not restricted: these tests run in
// containers, too.
func plain(t *testing.T, what string) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "exit")
	cmd.Env = append(os.Environ(), roleEnv+"=command")
	out, _ := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, what+":") {
			return strings.TrimSuffix(line, "\n")
		}
	}
	t.Fatalf("no line of %s in\n%s", what, out)
	return ""
}

// wantLines checks that each line is in out.
func wantLines(t *testing.T, out string, lines ...string) {
	t.Helper()
	got := strings.Split(out, "\n")
	for _, line := range lines {
		if !slices.Contains(got, line) {
			t.Errorf("no line %q in\n%s", line, out)
		}
	}
}

// TestRefuse: the named calls fail in every thread of the command, the others do not, and the
// exit code and the signal are the command's.
func TestRefuse(t *testing.T) {
	self := "/proc/self/exe"
	cmd, out, err := launch(t, "-refuse", "statx=ENOSYS,ioctl:FICLONE=ENOTTY", "--", self, "exit")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 42 {
		t.Errorf("%v, want exit code 42", err)
	}
	wantLines(t, out, fmt.Sprintf("pid: %d", cmd.Process.Pid),
		"statx: function not implemented", "statx beside: function not implemented",
		"FICLONE: inappropriate ioctl for device", "TIOCGPGRP: bad file descriptor",
		plain(t, "clone3"), plain(t, "unshare"), "NoNewPrivs:\t1")

	_, out, err = launch(t, "-refuse", "statx=EPERM", self, "signal")
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGTERM {
		t.Errorf("%v, want the signal", err)
	}
	wantLines(t, out, "statx: operation not permitted", plain(t, "FICLONE"))
}

// The command has no capability beyond those of a container and makes no namespace.
func TestDockerCapabilities(t *testing.T) {
	_, out, _ := launch(t, "-docker", "/proc/self/exe", "exit")
	wantLines(t, out, "clone3: function not implemented", "unshare: operation not permitted",
		"new user namespace: fork/exec /proc/self/exe: operation not permitted", plain(t, "statx"))
	none := plain(t, "CapEff") == "CapEff:\t0000000000000000" // and so it cannot limit CapBnd
	found := 0
	for line := range strings.Lines(out) {
		var set uint64
		name, value, _ := strings.Cut(line, ":")
		if !strings.HasPrefix(name, "Cap") {
			continue
		}
		found++
		if _, err := fmt.Sscanf(value, "%x", &set); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		if beyond := set &^ dockerCapabilities; beyond != 0 && !(none && name == "CapBnd") {
			t.Errorf("%s holds %#x beyond those of a container", name, beyond)
		}
	}
	if found != 5 {
		t.Errorf("%d sets in\n%s", found, out)
	}
}

func TestOldKernelLacksCalls(t *testing.T) {
	_, out, _ := launch(t, "-old", "/proc/self/exe", "exit")
	wantLines(t, out, "statx: function not implemented", "FICLONE: inappropriate ioctl for device",
		"TIOCGPGRP: bad file descriptor", plain(t, "unshare"))
}

// The command has no capabilities as an ordinary user.
func TestUserHasNoCapabilities(t *testing.T) {
	_, out, _ := launch(t, "-user", "65534", "/proc/self/exe", "exit")
	if out == "restrict: setgroups: operation not permitted\n" {
		t.Skip("no CAP_SETGID")
	}
	wantLines(t, out, "uid: 65534", "gid: 65534", "groups: []", "CapEff:\t0000000000000000")
}

// An error on the command line has its exit code and a message.
func TestUsageErrors(t *testing.T) {
	noProgram := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(noProgram, []byte{1}, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		args []string
		code int
		say  string
	}{
		{[]string{"-docker"}, failed, "no command"},
		{[]string{"-refuse", "statx", "true"}, failed, `"statx" has no =ERRNO`},
		{[]string{"-refuse", "none=EPERM", "true"}, failed, `system call "none"`},
		{[]string{"-refuse", "statx=EPER", "true"}, failed, `"EPER" is not the name of an errno`},
		{[]string{"-refuse", "ioctl:X=EPERM", "true"}, failed, `"X" is no known command of ioctl`},
		{[]string{"-x", "true"}, failed, "-x"},
		{[]string{"-docker", "restrict-no-such-command"}, cannotFind, "not found"},
		{[]string{"-refuse", "0x3fffffff=EPERM", noProgram}, cannotRun, "exec format error"},
		{[]string{"-h"}, 0, "usage: restrict"},
	} {
		cmd, out, _ := launch(t, x.args...)
		if code := cmd.ProcessState.ExitCode(); code != x.code || !strings.Contains(out, x.say) {
			t.Errorf("%q: exit code %d, want %d; want %q in\n%s", x.args, code, x.code, x.say, out)
		}
	}
	o, _, err := parse([]string{"-old", "-refuse", "1=EIO", "-refuse", "2=EIO", "a", "-b"})
	if err != nil || len(o.rules) != 2+len(old()) || !slices.Equal(o.command, []string{"a", "-b"}) {
		t.Errorf("%+v, %v", o, err)
	}
}
