package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/examples/internal/beside"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

func TestServe(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		defer http.DefaultClient.CloseIdleConnections()
		root := filepath.Join(dir, "root")
		if err := os.MkdirAll(filepath.Join(root, "d"), 0o755); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(root, "f.txt"), "contents")
		put(t, filepath.Join(root, "none"), "")
		put(t, filepath.Join(dir, "outside"), "outside")
		if err := os.Symlink("../outside", filepath.Join(root, "out")); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-time.Hour) // a new file has no Last-Modified
		if err := os.Chtimes(filepath.Join(root, "f.txt"), old, old); err != nil {
			t.Fatal(err)
		}
		s := start(t, root)
		waitTag(t, s.url+"f.txt")
		for _, x := range []struct {
			method, path string
			header       []string
			status       int
			body         string
		}{
			{"GET", "f.txt", nil, 200, "contents"},
			{"GET", "f.txt", []string{"Range", "bytes=3-5"}, 206, "ten"},
			{"GET", "f.txt", []string{"If-Modified-Since", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}, 304, ""},
			{"HEAD", "f.txt", nil, 200, ""},
			{"GET", "none", nil, 200, ""},
			{"GET", "", nil, 200, "f.txt"},
			{"GET", "missing", nil, 404, "Not Found"},
			{"GET", "../outside", nil, 404, "Not Found"},
			{"GET", "d/%2e%2e/%2e%2e/outside", nil, 404, "Not Found"},
			{"POST", "f.txt", nil, 405, "only GET and HEAD"},
			{"DELETE", "f.txt", nil, 405, "only GET and HEAD"},
		} {
			status, body := get(t, x.method, s.url+x.path, x.header...)
			if status != x.status || !strings.Contains(body, x.body) || x.body == "" && body != "" {
				t.Errorf("%s %s %q: %d, %q", x.method, x.path, x.header, status, body)
			}
		}
		if status, body := get(t, "GET", s.url+"out"); status != 404 || strings.Contains(body, "outside") {
			t.Errorf("a link out of the directory: %d, %q", status, body)
		}
		if status := s.stop(); status != 0 {
			t.Errorf("status %d: %s", status, s.stderr)
		}
		for _, line := range []string{`GET "/f.txt" 200 8 `, `GET "/f.txt" 206 3 `, `GET "/missing" 404 10 `, `POST "/f.txt" 405 18 `} {
			if strings.Count(s.stderr.String(), line) != 1 {
				t.Errorf("no %q in the log:\n%s", line, s.stderr)
			}
		}
	})
}

// Each response is one version of a file that is replaced all the time, and so are the parts of
// it that come after the file was truncated.
func TestNeverAMix(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		defer http.DefaultClient.CloseIdleConnections()
		name := filepath.Join(dir, "f")
		versions := []string{strings.Repeat("a", 3<<20), strings.Repeat("b", 2<<20)}
		put(t, name, versions[0])
		s := start(t, dir)
		beside.Do(t, mounttest.Count(20, 200, 10000), func(i int) error {
			return errors.Join(os.WriteFile(name+".new", []byte(versions[i%2]), 0o644), os.Rename(name+".new", name))
		}, func(int) {
			if _, body := get(t, "GET", s.url+"f"); body != versions[0] && body != versions[1] {
				t.Errorf("%d bytes, %d of them a", len(body), strings.Count(body, "a"))
			}
		})

		put(t, name, strings.Repeat("c", 8<<20))
		resp, err := http.Get(s.url + "f")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.CopyN(io.Discard, resp.Body, 1000); err != nil {
			t.Fatal(err)
		}
		put(t, name, "destroyed")
		rest, err := io.ReadAll(resp.Body)
		if err != nil || string(rest) != strings.Repeat("c", 8<<20-1000) {
			t.Errorf("after the file was truncated: %d bytes, %v", len(rest), err)
		}
	})
}

// A response under way is completed before the end, unless that takes too long.
func TestShutdown(t *testing.T) {
	dir := t.TempDir()
	content := strings.Repeat("x", 32<<20) // more than the sockets hold
	put(t, filepath.Join(dir, "f"), content)
	for grace, want := range map[string]int{"1m": 0, "1ms": 1} {
		s := start(t, dir, "-grace", grace)
		resp, err := http.Get(s.url + "f")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan int, 1)
		go func() { ended <- s.stop() }()
		if want == 1 {
			if status := <-ended; status != 1 || !strings.Contains(s.stderr.String(), "serve: responses were cut off") {
				t.Errorf("status %d: %s", status, s.stderr)
			}
			_ = resp.Body.Close()
			continue
		}
		for { // until it takes no more connections, and so is ending
			conn, err := net.Dial("tcp", s.addr)
			if err != nil {
				break
			}
			_ = conn.Close()
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(body) != content {
			t.Errorf("%d bytes, %v", len(body), err)
		}
		http.DefaultClient.CloseIdleConnections()
		if status := <-ended; status != 0 {
			t.Errorf("status %d: %s", status, s.stderr)
		}
	}
}

// A client that takes nothing is given up, and written down.
func TestStalledClient(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "f"), strings.Repeat("x", 32<<20))
	s := start(t, dir, "-stall", "50ms")
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /f HTTP/1.1\r\nHost: localhost\r\n\r\n")
	for begin := time.Now(); !strings.Contains(s.stderr.String(), `GET "/f" 200 `); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatal("it is still being served")
		}
	}
}

func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	put(t, file, "")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, x := range []struct {
		args   []string
		status int
		err    string
	}{
		{[]string{"-x"}, 2, "not defined: -x"},
		{[]string{"a", "b"}, 2, `want one directory, not 2: ["a" "b"]`},
		{[]string{"-grace", "x"}, 2, "invalid value"},
		{[]string{"-stall", "0"}, 2, "-stall must be positive"},
		{[]string{"-grace", "-1s"}, 2, "-grace must not be negative"},
		{[]string{"-connections", "0"}, 2, "-connections must be positive"},
		{[]string{"-ranges", "-1"}, 2, "-ranges must be positive"},
		{[]string{"-held", "0"}, 2, "-held must be positive"},
		{[]string{"-copying", "9999999999999"}, 2, "-copying must be positive, and not more"},
		{[]string{filepath.Join(dir, "missing")}, 1, "no such file"},
		{[]string{file}, 1, "not a directory"},
		{[]string{"-addr", taken.Addr().String(), dir}, 1, "address already in use"},
		{[]string{"-addr", "nonsense", dir}, 1, "missing port"},
	} {
		if runtime.GOOS != "linux" && x.status == 1 {
			continue
		}
		var stdout, stderr strings.Builder
		status := run(t.Context(), x.args, &stdout, &stderr)
		if status != x.status || !strings.HasPrefix(stderr.String(), "serve: ") || !strings.Contains(stderr.String(), x.err) || stdout.Len() > 0 {
			t.Errorf("%q: %d, %q, %q", x.args, status, &stdout, &stderr)
		}
	}
	var stdout, stderr strings.Builder
	status := run(t.Context(), []string{"-h"}, &stdout, &stderr)
	if status != 0 || !strings.HasPrefix(stdout.String(), "usage: serve") || stderr.Len() > 0 {
		t.Errorf("-h: %d, %q, %q", status, &stdout, &stderr)
	}
	for _, want := range []string{"If-Range", "-connections", "-ranges", "-held", "TLS"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("-h does not say %s:\n%s", want, &stdout)
		}
	}
}

// The program itself ends with status 0 on a signal.
func TestBinary(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("snapshots need Linux")
	}
	exe := filepath.Join(t.TempDir(), "serve")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", exe, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	dir := t.TempDir()
	put(t, filepath.Join(dir, "f"), "contents")
	cmd := exec.CommandContext(t.Context(), exe, "-addr", "127.0.0.1:0", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, url, _ := strings.Cut(strings.TrimSpace(line), " at ")
	if status, body := get(t, "GET", url+"f"); status != 200 || body != "contents" {
		t.Errorf("%d, %q", status, body)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
