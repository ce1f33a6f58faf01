package fusetest_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// endEnv tells TestHelperEnds how to end.
const endEnv = "FUSETEST_END"

// TestNothingIsLeft has this binary end in every way there is, while it waits for a disk of each
// filesystem, and looks for loop devices, files, mounts and processes.
func TestNothingIsLeft(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	connections := t.TempDir()
	must(t, syscall.Mount("none", connections, "fusectl", 0, ""))
	t.Cleanup(func() { must(t, syscall.Unmount(connections, 0)) })
	connected := func(numbers ...int) (found []string) {
		for _, n := range numbers {
			name := filepath.Join(connections, fmt.Sprint(n))
			if _, err := os.Stat(name); err == nil {
				found = append(found, name)
			}
		}
		return found
	}
	for end, victim := range map[string]func(supervisor, tester, server int) int{
		"return":          nil,
		"fail":            nil,
		"panic":           nil,
		"exit":            nil,
		"timeout":         nil,
		"kill tester":     func(_, tester, _ int) int { return tester },
		"kill supervisor": func(supervisor, _, _ int) int { return supervisor },
		"kill server":     func(_, _, server int) int { return server },
	} {
		t.Run(end, func(t *testing.T) {
			if end != "timeout" { // which has to get ready in time
				t.Parallel()
			}
			tmp := t.TempDir()
			timeout := "-test.timeout=1m"
			if end == "timeout" {
				timeout = "-test.timeout=10s"
			}
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestHelperEnds$", timeout)
			for _, v := range os.Environ() {
				if !strings.HasPrefix(v, "MOUNTTEST_") {
					cmd.Env = append(cmd.Env, v)
				}
			}
			cmd.Env = append(cmd.Env, endEnv+"="+end, "TMPDIR="+tmp, "GORACE=atexit_sleep_ms=0")
			out, err := cmd.StdoutPipe()
			must(t, err)
			cmd.Stderr = cmd.Stdout
			must(t, cmd.Start())
			lines, said := bufio.NewReader(out), new(bytes.Buffer)
			tester, server, first, last := 0, 0, 0, 0
			for tester == 0 {
				line, err := lines.ReadString('\n')
				said.WriteString(line)
				if err != nil {
					t.Fatalf("it never got ready:\n%s", said)
				}
				_, _ = fmt.Sscanf(line, "ready %d %d %d %d", &tester, &server, &first, &last)
			}
			if len(containing(t, "/sys/block/loop*/loop/backing_file", tmp)) == 0 {
				t.Error("no loop devices while it runs")
			}
			if n := len(connected(first, last)); n != 2 {
				t.Errorf("%d FUSE connections while it runs", n)
			}
			if victim != nil {
				must(t, syscall.Kill(victim(cmd.Process.Pid, tester, server), syscall.SIGKILL))
			} else {
				must(t, syscall.Kill(tester, syscall.SIGUSR1))
			}
			// To the end of the pipe: no process may keep it, or go test would wait.
			_, _ = io.Copy(said, lines)
			if err := cmd.Wait(); (err == nil) != (end == "return") {
				t.Errorf("%v:\n%s", err, said)
			}
			for _, pattern := range []string{
				"/sys/block/loop*/loop/backing_file", "/proc/[0-9]*/environ", "/proc/[0-9]*/mountinfo",
			} {
				wantNone(t, func() []string { return containing(t, pattern, tmp) })
			}
			wantNone(t, func() []string { return connected(first, last) })
			wantNone(t, func() []string {
				names, err := filepath.Glob(filepath.Join(tmp, "*"))
				must(t, err)
				return names
			})
		})
	}
}

// wantNone waits until find finds nothing.
func wantNone(t *testing.T, find func() []string) {
	t.Helper()
	found := find()
	for deadline := time.Now().Add(time.Minute); len(found) > 0; found = find() {
		if time.Now().After(deadline) {
			t.Errorf("left after a minute: %v", found)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// containing returns the names of those files of a pattern that hold text.
func containing(t *testing.T, pattern, text string) (found []string) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	must(t, err)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(data), text) {
			found = append(found, name)
		}
	}
	return found
}

// TestHelperEnds waits for disks by read, by a page fault and by fsync, and for a tree, and ends when it is told
// to.
func TestHelperEnds(t *testing.T) {
	end := os.Getenv(endEnv)
	if end == "" {
		t.Skip("not a test: TestNothingIsLeft runs it in a process of its own")
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	var server int
	var connections []int
	for _, kind := range mounttest.Kinds(mounttest.Disk) {
		d := fusetest.NewDisk(t, 320<<20)
		server = d.Pid()
		connections = append(connections, d.Connection(t))
		name := filepath.Join(d.Mount(t, kind), "f")
		must(t, os.WriteFile(name, make([]byte, 1<<20), 0o644))
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		must(t, err)
		t.Cleanup(func() { _ = f.Close() })
		must(t, f.Sync())
		evict(t, f)
		mem, err := syscalls.Mmap(int(f.Fd()), 1<<20, false)
		must(t, err)
		t.Cleanup(func() { _ = syscalls.Munmap(mem) })
		d.Delay(t, 20*time.Millisecond)
		stop := make(chan struct{})
		work := func(do func(i int)) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
						do(i % 250 * page)
					}
				}
			}()
			t.Cleanup(func() { <-done })
		}
		// A page that cannot be read any more ends the program here. With the server gone first,
		// that is one more way to end.
		if end != "kill server" {
			work(func(off int) { _ = bytes.Clone(mem[off : off+1]) })
		}
		work(func(off int) { _, _ = f.ReadAt(make([]byte, page), int64(off)) })
		work(func(off int) {
			_, _ = f.WriteAt([]byte("x"), int64(off))
			_ = f.Sync()
			_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		})
		t.Cleanup(func() { close(stop) })
	}
	tree, _ := newTree(t, fusetest.TreeConfig{})
	connections = append(connections, tree.Connection(t))
	must(t, os.WriteFile(filepath.Join(tree.Dir(), "f"), make([]byte, page), 0o644))
	f, err := os.Open(filepath.Join(tree.Dir(), "f"))
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	tree.Delay(t, 100*time.Millisecond)
	stop, done := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stop); <-done })
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				evict(t, f)
				_, _ = f.ReadAt(make([]byte, page), 0)
			}
		}
	}()
	fmt.Printf("ready %d %d %d %d\n", os.Getpid(), server, connections[0], connections[len(connections)-1])
	if end == "kill server" {
		var info unix.Siginfo // of a child that ended and was not waited for
		for errors.Is(unix.Waitid(unix.P_PID, server, &info, unix.WEXITED|unix.WNOWAIT, nil), syscall.EINTR) {
		}
		t.Fatal("the server was killed")
	}
	<-told
	switch end {
	case "fail":
		t.Fail()
	case "exit":
		os.Exit(7)
	case "panic":
		panic("on purpose")
	case "timeout":
		select {}
	}
}
