package fusetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// serverEnv names what a process serves; unset, it runs tests.
const serverEnv = "FUSETEST_SERVER"

// patience is how long anything may take that should take milliseconds.
const patience = 20 * time.Second

// maxRequest is how much the kernel asks a server for at once, at most.
const maxRequest = 1 << 20

// roles is what can be served, by name. A role gets the first message and returns what answers
// the other ones. Constant.
var roles = map[string]func(hello message) (answer func(message) (message, error), err error){
	"disk": serveDisk,
	"tree": serveTree,
}

// Main is [mounttest.Main], for test binaries that start servers: they run this one again.
func Main(m *testing.M) {
	if role := roles[os.Getenv(serverEnv)]; role != nil {
		// The test's process has the other end of standard input, and nobody else.
		err := leaveMounts()
		if err == nil {
			err = serve(role, os.Stdin, os.Stdout)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "fusetest:", err)
			os.Exit(2)
		}
		os.Exit(0)
	}
	mounttest.Main(m)
}

// device is the number of the descriptor of /dev/fuse in a server, and directory of that of the directory
// that it serves, if it serves one.
const (
	device    = 3
	directory = 4
)

// leaveMounts has this process, which has a mount namespace of its own, hold no mount at all. Otherwise it
// could be the last one to do so, and the kernel would have it unmount, when it ends, what it serves: it
// would wait for itself for ever, even if killed (seen on Linux 6.18).
func leaveMounts() error {
	return os.NewSyscallError("umount", syscall.Unmount("/", syscall.MNT_DETACH))
}

// A message is what a test and a server say to each other; which fields mean something depends
// on the role.
type message struct {
	Size     int64         `json:",omitempty"`
	Faults   *faults       `json:",omitempty"`
	Content  []byte        `json:",omitempty"` // to find
	Found    []Range       `json:",omitempty"`
	Stats    *Stats        `json:",omitempty"`
	Tree     *TreeConfig   `json:",omitempty"`
	Troubles *troubles     `json:",omitempty"` // of a tree
	Requests *TreeRequests `json:",omitempty"`
	Held     bool          `json:",omitempty"` // asks for Holding
	Holding  int64         `json:",omitempty"`
	Error    string        `json:",omitempty"` // of the server
}

// serve answers the messages that come from r until it ends.
func serve(role func(message) (func(message) (message, error), error), r io.Reader, w io.Writer) error {
	in, out := json.NewDecoder(r), json.NewEncoder(w)
	var answer func(message) (message, error)
	for {
		var request, reply message
		err := in.Decode(&request)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if answer == nil {
			answer, err = role(request)
		} else {
			reply, err = answer(request)
		}
		if err != nil {
			reply.Error = err.Error()
		}
		if err := out.Encode(reply); err != nil {
			return err
		}
	}
}

// A server is a process that serves one mount.
type server struct {
	dir string // where it is mounted
	cmd *exec.Cmd
	w   io.Closer
	out *json.Encoder
	in  *json.Decoder
}

// start starts a server, and mounts what it serves until the end of the test, with these flags of mount(2)
// and options of FUSE besides. The server inherits files. It skips the test where there can be no server.
func start(tb testing.TB, role string, hello message, flags uintptr, options string, files ...*os.File) *server {
	tb.Helper()
	if !mounttest.Can("CAP_SYS_ADMIN") {
		without(tb, "no CAP_SYS_ADMIN")
	}
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		without(tb, err.Error())
	}
	defer fuse.Close() // the server alone has it then, and all ends with the server
	// Not tb.TempDir, which nobody else may look into.
	dir, err := os.MkdirTemp("", "fuse-")
	if err != nil {
		tb.Fatal(err)
	}
	s := &server{dir: dir}
	tb.Cleanup(func() { s.unmount(tb) })
	options = fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,max_read=%d%s", fuse.Fd(), maxRequest, options)
	if err := syscall.Mount("fusetest", s.dir, "fuse", flags|syscall.MS_NOSUID|syscall.MS_NODEV, options); err != nil {
		without(tb, "mount: "+err.Error())
	}
	s.cmd = exec.Command("/proc/self/exe")
	s.cmd.Args[0] = os.Args[0]
	s.cmd.Env = append(os.Environ(), serverEnv+"="+role)
	s.cmd.Stderr = os.Stderr
	s.cmd.ExtraFiles = append([]*os.File{fuse}, files...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	w, err := s.cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	r, err := s.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.stop(tb) })
	s.w, s.out, s.in = w, json.NewEncoder(w), json.NewDecoder(r)
	s.must(tb, hello)
	return s
}

// without ends a test for which there is no server.
func without(tb testing.TB, reason string) {
	tb.Helper()
	if os.Getenv("MOUNTTEST_REQUIRE") != "" {
		tb.Fatal("fusetest: no FUSE: ", reason)
	}
	tb.Skip("no FUSE: ", reason)
}

// must sends a message and returns the answer. It fails the test if the server fails or does not
// answer, and kills it then: whoever waits for what it serves gets an error.
func (s *server) must(tb testing.TB, request message) (reply message) {
	tb.Helper()
	defer s.killAfter(patience).Stop()
	err := s.out.Encode(request)
	if err == nil {
		err = s.in.Decode(&reply)
	}
	if err != nil {
		tb.Fatal("fusetest: the server is gone: ", err)
	}
	if reply.Error != "" {
		tb.Fatal("fusetest: ", reply.Error)
	}
	return reply
}

func (s *server) connection(tb testing.TB) int {
	tb.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(s.dir, &st); err != nil {
		tb.Fatal(err)
	}
	return int(unix.Minor(st.Dev))
}

// killAfter kills the server after a time: the kernel ends the connection then, and with it
// all waiting that a signal does not end.
func (s *server) killAfter(d time.Duration) *time.Timer {
	return time.AfterFunc(d, func() { _ = s.cmd.Process.Kill() })
}

// stop ends the server. One that was killed is none that failed.
func (s *server) stop(tb testing.TB) {
	tb.Helper()
	defer s.killAfter(patience).Stop()
	_ = s.w.Close()
	var exit *exec.ExitError
	if err := s.cmd.Wait(); err != nil && !(errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled()) {
		tb.Errorf("fusetest: the server: %v", err)
	}
}

// unmount runs after stop, so that nobody is waiting for the server. A loop device that was just
// let go may still have to close its image.
func (s *server) unmount(tb testing.TB) {
	tb.Helper()
	err := error(syscall.EBUSY)
	for i := 0; i < 100 && errors.Is(err, syscall.EBUSY); i++ {
		time.Sleep(time.Duration(i) * time.Millisecond)
		err = syscall.Unmount(s.dir, 0)
	}
	if err != nil && !errors.Is(err, syscall.EINVAL) { // not mounted
		tb.Errorf("fusetest: unmount %s: %v", s.dir, err)
		_ = syscall.Unmount(s.dir, syscall.MNT_DETACH)
	}
	if err := os.Remove(s.dir); err != nil {
		tb.Errorf("fusetest: %v", err)
	}
}
