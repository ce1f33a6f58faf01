package mounttest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// innerEnv marks a process that runs tests under a supervisor. Its value is
// the supervisor's mount namespace, the identity of its executable, and the path
// of its temporary directory, separated by blanks.
const innerEnv = "MOUNTTEST_INNER"

// A session is what the processes of one run of a test binary share.
type session struct {
	base    string // holds tmp (TMPDIR), and fs, on which a private tmpfs of mount points is mounted
	private bool   // the mount namespace is not the supervisor's
}

// selfPath leads to the running executable even if that was removed, or lies where
// this process may not look.
const selfPath = "/proc/self/exe"

// current is nil unless Main was called; constant after that.
var current *session

func run(m *testing.M) int {
	self, err := identity(selfPath)
	if err != nil {
		return fail(err)
	}
	current = joined(self, os.Getenv(innerEnv))
	if current != nil {
		syscall.Umask(0o022) // so that files have the modes that tests ask for, whoever runs them
		return m.Run()
	}
	code, err := supervise()
	if err != nil {
		code = fail(err)
	}
	// Not os.Exit: that writes the coverage data of this process, or warns that it cannot.
	syscall.Exit(code)
	panic("unreachable")
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "mounttest:", err)
	return 2
}

// process is what tells one running executable in one mount namespace from others.
type process struct {
	namespace  string
	executable string
}

// identity returns that of this process, were it running the executable at path.
func identity(path string) (process, error) {
	ns, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return process{}, fmt.Errorf("tests need /proc: %w", err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		return process{}, err
	}
	st := fi.Sys().(*syscall.Stat_t)
	return process{ns, fmt.Sprintf("%d:%d", st.Dev, st.Ino)}, nil
}

// mark is the value of innerEnv for the children of a supervisor.
func mark(supervisor process, base string) string {
	return supervisor.namespace + " " + supervisor.executable + " " + base
}

// joined returns the session that value describes if this process belongs to it,
// and nil if it does not: a test binary started by a test of another one inherits
// the variable, yet needs a session of its own.
func joined(self process, value string) *session {
	ns, rest, _ := strings.Cut(value, " ")
	exe, base, _ := strings.Cut(rest, " ")
	if exe != self.executable || base == "" {
		return nil
	}
	return &session{base: base, private: ns != self.namespace}
}

// lock keeps the other processes and goroutines of the session from mounting.
func (s *session) lock() (unlock func(), err error) {
	dir, err := os.Open(s.base)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX)
		if err == nil {
			return func() { dir.Close() }, nil
		}
		if err != unix.EINTR {
			dir.Close()
			return nil, os.NewSyscallError("flock", err)
		}
	}
}

// canMount returns the reason why this process cannot mount, or nil.
func canMount() error {
	switch {
	case current == nil:
		return missing("TestMain does not call mounttest.Main")
	case !Can("CAP_SYS_ADMIN"):
		return missing("no CAP_SYS_ADMIN")
	case !current.private:
		return missing("no mount namespace of its own: unshare is not permitted")
	}
	return nil
}

// mountPoints returns the directory that holds the mount points, which only this
// namespace sees filled. The caller holds the lock.
func (s *session) mountPoints() (string, error) {
	dir := filepath.Join(s.base, "fs")
	mounted, err := isMountPoint(dir)
	if err != nil || mounted {
		return dir, err
	}
	return dir, os.NewSyscallError("mount", unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"))
}

func isMountPoint(dir string) (bool, error) {
	var at, above unix.Stat_t
	err := errors.Join(unix.Lstat(dir, &at), unix.Lstat(filepath.Dir(dir), &above))
	if err != nil {
		return false, fmt.Errorf("lstat %s: %w", dir, err)
	}
	return at.Dev != above.Dev, nil
}
