package mounttest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	nobody = 65534

	// userEnv marks a child of AsUser, which reports on descriptor 3.
	userEnv = "MOUNTTEST_USER"
)

func isUserChild() bool {
	return os.Getenv(userEnv) == "1" && os.Geteuid() == nobody
}

func asUser(t *testing.T, f func(*testing.T), env []string) error {
	t.Helper()
	if os.Getenv(userEnv) == "1" {
		if !isUserChild() {
			t.Fatalf("a child of AsUser runs as uid %d", os.Geteuid()) // rather than start one in turn
		}
		runAndReport(t, f)
	}
	if reason := lacks("CAP_SETUID", "CAP_SETGID", "CAP_CHOWN"); reason != "" {
		return missing(reason)
	}
	if dir := closedAbove(os.TempDir()); dir != "" {
		return missing("other users may not search " + dir + ", which is above the temporary directory")
	}
	// The child cannot mount.
	for _, k := range Kinds(Known) {
		_, _ = sharedRoot(k)
	}
	verdict, out, err := runChild(t, env)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) {
		return missing(fmt.Sprintf("cannot become uid %d: %v", nobody, err))
	}
	switch {
	case err != nil:
		t.Fatalf("as uid %d: %v\n%s", nobody, err, out)
	case verdict == "skipped":
		t.Skipf("as uid %d:\n%s", nobody, out)
	case verdict != "passed":
		t.Fatalf("as uid %d: the child did not come to call AsUser\n%s", nobody, out)
	case testing.Verbose():
		t.Logf("as uid %d:\n%s", nobody, out)
	}
	return nil
}

// closedAbove returns the directory on the way to path that not everyone may search.
func closedAbove(path string) string {
	for path != "/" && path != "." {
		path = filepath.Dir(path)
		if fi, err := os.Stat(path); err != nil || fi.Mode()&0o001 == 0 {
			return path
		}
	}
	return ""
}

// runAndReport runs f in the child and ends the test there. If f fails, the
// exit code says so.
func runAndReport(t *testing.T, f func(*testing.T)) {
	verdict := "skipped" // unless f returns
	defer func() { _, _ = os.NewFile(3, "report").WriteString(verdict) }()
	f(t)
	verdict = "passed"
	t.Skip("passed; what follows in this test is for the parent")
}

// runChild runs the calling test as another user. The verdict is empty if it
// did not come to call AsUser, as if no test had that name.
func runChild(t *testing.T, env []string) (verdict string, out []byte, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", nil, err
	}
	defer r.Close()
	defer w.Close()

	names := strings.Split(t.Name(), "/")
	for i, name := range names {
		names[i] = "^" + regexp.QuoteMeta(name) + "$"
	}
	args := []string{os.Args[0], "-test.v", "-test.count=1", "-test.run=" + strings.Join(names, "/")}
	if deadline, ok := t.Deadline(); ok {
		args = append(args, "-test.timeout="+time.Until(deadline).String())
	}
	cmd := &exec.Cmd{
		// Not by its own path, which may lead through directories that only root may search.
		Path: selfPath, Args: args,
		Env:        append(append(os.Environ(), env...), userEnv+"=1"),
		ExtraFiles: []*os.File{w},
		SysProcAttr: &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: nobody, Gid: nobody},
			Pdeathsig:  syscall.SIGKILL,
		},
	}
	// The parent whose death Pdeathsig reports is the thread that forked.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err = cmd.CombinedOutput()
	w.Close()
	var report [16]byte
	n, _ := r.Read(report[:])
	return string(report[:n]), out, err
}
