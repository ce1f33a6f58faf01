package mounttest_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startHelper starts cmd and waits until it is ready. wait returns all it printed.
func startHelper(t *testing.T, cmd *exec.Cmd) (tester int, wait func() string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var out bytes.Buffer
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fmt.Fprintln(&out, lines.Text())
		if _, err := fmt.Sscanf(lines.Text(), "ready %d", &tester); err == nil {
			return tester, func() string {
				// To the end of the pipe: no process may keep it, or "go test" would wait.
				for lines.Scan() {
					fmt.Fprintln(&out, lines.Text())
				}
				_ = cmd.Wait()
				return out.String()
			}
		}
	}
	t.Fatalf("the helper never got ready:\n%s", &out)
	return 0, nil
}

func wantSoonNone(t *testing.T, what string, find func() []string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	found := find()
	for ; len(found) > 0 && time.Now().Before(deadline); found = find() {
		time.Sleep(10 * time.Millisecond)
	}
	if len(found) > 0 {
		t.Errorf("left after a minute: %s %v", what, found)
	}
}

// loopDevices returns the devices whose image is, or was, in dir.
func loopDevices(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	return containing(names, dir)
}

// processes returns the processes that were started with dir as an argument or in their
// environment; for an ordinary user, those of its own. A dead process has neither.
func processes(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"/proc/[0-9]*/cmdline", "/proc/[0-9]*/environ"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, containing(names, dir)...)
	}
	return found
}

// containing returns the names of those files that hold text.
func containing(names []string, text string) []string {
	var found []string
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(data), text) {
			found = append(found, name)
		}
	}
	return found
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func create(t *testing.T, dir, base string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, base))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
