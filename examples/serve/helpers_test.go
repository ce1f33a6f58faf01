package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A running server.
type running struct {
	url, addr string
	stderr    *logs
	stop      func() int // ends it and returns the exit status
}

// logs is a bytes.Buffer for several goroutines.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start serves dir on a free port.
func start(t *testing.T, dir string, args ...string) running {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("snapshots need Linux")
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r := running{stderr: &logs{}}
	out, stdout := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, append(append([]string{"-addr", "127.0.0.1:0"}, args...), dir), stdout, r.stderr)
		_ = stdout.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%v: %s", err, r.stderr)
	}
	_, r.url, _ = strings.Cut(strings.TrimSpace(line), " at ")
	r.addr = strings.TrimSuffix(strings.TrimPrefix(r.url, "http://"), "/")
	r.stop = sync.OnceValue(func() int {
		cancel()
		return <-status
	})
	t.Cleanup(func() { r.stop() })
	return r
}

// get returns the status and the body of a response.
func get(t *testing.T, method, url string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func put(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// withoutReflinks returns a directory in which each snapshot of a larger file is a copy.
func withoutReflinks(t *testing.T) string {
	t.Helper()
	return mounttest.Dir(t, mounttest.Memory)
}

// waitTag waits until a file was not changed for so long that it has an ETag, which it returns.
func waitTag(t *testing.T, url string) string {
	t.Helper()
	for range 1000 {
		resp, err := http.Head(url)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if tag := resp.Header.Get("ETag"); tag != "" {
			return tag
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s has no ETag", url)
	return ""
}
