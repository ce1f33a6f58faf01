package mounttest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
)

// supervise runs this program again as the process that tests, waits for it,
// removes what it left in its temporary directory, and returns its exit code.
func supervise() (code int, err error) {
	base, err := os.MkdirTemp("", "mounttest-")
	if err != nil {
		return 0, err
	}
	clean := startJanitor(base)
	defer func() { err = errors.Join(err, clean()) }()

	tmp, fs := filepath.Join(base, "tmp"), filepath.Join(base, "fs")
	err = errors.Join(
		os.Mkdir(tmp, 0o777), os.Mkdir(fs, 0o755),
		// Chmod, as the umask does not apply to it: children of AsUser come here too.
		os.Chmod(tmp, 0o777|os.ModeSticky), os.Chmod(fs, 0o755), os.Chmod(base, 0o755),
	)
	if err != nil {
		return 0, err
	}
	path, args, err := program(base)
	if err != nil {
		return 0, err
	}
	inner, err := identity(path)
	if err != nil {
		return 0, err
	}
	return runInner(path, args, append(os.Environ(), innerEnv+"="+mark(inner, base), "TMPDIR="+tmp))
}

// runInner runs the process that tests to its end, and passes signals on to it.
func runInner(path string, args, env []string) (code int, err error) {
	// The parent whose death Pdeathsig reports is the thread that forked, not the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	cmd, err := startInner(path, args, env)
	if err != nil {
		return 0, err
	}
	go func() {
		for sig := range signals {
			_ = cmd.Process.Signal(sig)
		}
	}()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		fmt.Fprintf(os.Stderr, "mounttest: the test process was killed by signal %d (%v)\n", status.Signal(), status.Signal())
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// program returns a path by which the children of AsUser, too, can run this program,
// and its arguments. With a umask of 077, go builds programs that only their
// owner may run. Such a one is copied.
func program(base string) (path string, args []string, err error) {
	fi, err := os.Stat(selfPath)
	if err != nil || fi.Mode()&0o005 == 0o005 || !Can("CAP_SETUID") {
		return selfPath, os.Args, err
	}
	content, err := os.ReadFile(selfPath)
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(base, filepath.Base(os.Args[0]))
	err = errors.Join(os.WriteFile(path, content, 0o755), os.Chmod(path, 0o755))
	return path, append([]string{path}, os.Args[1:]...), err
}

// startInner starts this program again, in a mount namespace of its own if
// that is permitted. Go makes all mounts in it private, so none reaches the machine.
// Descriptors from 3 that this process was given, as a fuzz worker is, are not
// marked close-on-exec and so stay what they are.
func startInner(path string, args, env []string) (*exec.Cmd, error) {
	command := func(flags uintptr) *exec.Cmd {
		return &exec.Cmd{
			Path: path, Args: args, Env: env,
			Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
			SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Unshareflags: flags},
		}
	}
	if Can("CAP_SYS_ADMIN") {
		cmd := command(syscall.CLONE_NEWNS)
		// A container may keep the capability from working.
		if err := cmd.Start(); !errors.Is(err, syscall.EPERM) {
			return cmd, err
		}
	}
	cmd := command(0)
	return cmd, cmd.Start()
}

// janitorScript removes $1 once its standard input ends. It tries again, as
// processes that still die can make files there.
const janitorScript = `read -r _
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	rm -rf -- "$1" && exit 0
	sleep 0.1
done
exit 1`

// startJanitor starts a process that removes dir when this one ends, even by
// kill -9: it waits for the end of a pipe whose only writer is this process. The
// returned function has it do so now. Without sh, only that function removes dir.
func startJanitor(dir string) (clean func() error) {
	byHand := func() error { return os.RemoveAll(dir) }
	r, w, err := os.Pipe()
	if err != nil {
		return byHand
	}
	defer r.Close()
	cmd := exec.Command("sh", "-c", janitorScript, "mounttest-janitor", dir)
	cmd.Dir = "/"
	cmd.Stdin = r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an interrupt at the terminal is not for it
	if cmd.Start() != nil {
		w.Close()
		return byHand
	}
	return func() error {
		w.Close()
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("cannot remove %s: %w", dir, err)
		}
		return nil
	}
}
