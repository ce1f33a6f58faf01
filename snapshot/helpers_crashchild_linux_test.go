package snapshot_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// A crashChild is a child process at work.
type crashChild struct {
	t     testing.TB
	cmd   *exec.Cmd
	out   bytes.Buffer
	ended chan struct{} // closed when cmd is waited for
	acks  *os.File
	count int // of acknowledgements read
}

// start starts a child and returns when it has committed for the first time. The child does not
// outlive the test.
func (w crashWork) start(t testing.TB) *crashChild {
	t.Helper()
	work, err := json.Marshal(w)
	must(t, err)
	r, acks, err := os.Pipe()
	must(t, err)
	defer acks.Close()
	c := &crashChild{t: t, acks: r, ended: make(chan struct{})}
	c.cmd = exec.Command("/proc/self/exe", "-test.run=^TestCrashChild$", "-test.timeout=0")
	// A race detector that is told so does not wait a second at the exit.
	c.cmd.Env = append(os.Environ(), crashEnv+"="+string(work), "GORACE=atexit_sleep_ms=0")
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	c.cmd.ExtraFiles = []*os.File{acks}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the parent whose death Pdeathsig reports is the thread that forked
	must(t, c.cmd.Start())
	go func() {
		_ = c.cmd.Wait() // its result stays in ProcessState
		close(c.ended)
	}()
	t.Cleanup(func() { c.end() })
	for deadline := time.Now().Add(time.Minute); c.acked() == 0; time.Sleep(time.Millisecond / 2) {
		select {
		case <-c.ended:
			if c.acked() == 0 {
				t.Fatalf("the child: %v\n%s", c.cmd.ProcessState, &c.out)
			}
		default:
			if time.Now().After(deadline) {
				t.Fatal("the child does not get to commit anything")
			}
		}
	}
	return c
}

// acked returns the last generation acknowledged by now.
func (c *crashChild) acked() int {
	conn, err := c.acks.SyscallConn()
	must(c.t, err)
	must(c.t, conn.Read(func(fd uintptr) bool {
		var buf [4096]byte
		for {
			n, err := syscall.Read(int(fd), buf[:])
			if err == syscall.EINTR {
				continue
			}
			if err != nil || n == 0 {
				return true // rather than wait
			}
			c.count += n
		}
	}))
	return c.count
}

// end kills the child, if it still runs, and reports whether that was its end.
func (c *crashChild) end() (killed bool) {
	_ = c.cmd.Process.Kill()
	<-c.ended
	if c.acks != nil {
		c.acked() // what is left in the pipe
		c.acks.Close()
		c.acks = nil
		runtime.UnlockOSThread()
	}
	status := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return status.Signaled() && status.Signal() == syscall.SIGKILL
}

// kill ends the child, which must not have ended in another way, and returns the last
// generation that it acknowledged.
func (c *crashChild) kill() int {
	c.t.Helper()
	if !c.end() {
		c.t.Errorf("the child ended before it was killed: %v\n%s", c.cmd.ProcessState, &c.out)
	}
	return c.count
}

// died waits for a child that was told to kill itself, and returns the last generation that it
// acknowledged.
func (c *crashChild) died() int {
	c.t.Helper()
	c.wait()
	return c.kill()
}

// exited waits for a child that was told to exit, and returns the last generation that it
// acknowledged.
func (c *crashChild) exited() int {
	c.t.Helper()
	c.wait()
	c.end()
	if code := c.cmd.ProcessState.ExitCode(); code != crashExit {
		c.t.Errorf("the child: %v\n%s", c.cmd.ProcessState, &c.out)
	}
	return c.count
}

// wait waits for the child to end by itself.
func (c *crashChild) wait() {
	c.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(time.Minute):
		c.t.Error("the child goes on and on")
	}
}
