package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Names that begin with a dot, at any depth, are not found and not listed; what is no file is not found.
func TestHidden(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	dir := t.TempDir()
	for _, name := range []string{".git/config", "d/.env", "d/f", ".0000000000000005.mmapsnapshot-0"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, name), "contents")
	}
	s := start(t, dir)
	for path, want := range map[string]int{
		".git/config": 404, ".git/": 404, ".git": 404, "d/.env": 404, "d/f": 200, "a%00": 404, "%ff": 404,
		".0000000000000005.mmapsnapshot-0": 404,
	} {
		if status, body := get(t, "GET", s.url+path); status != want {
			t.Errorf("%s: %d, %q", path, status, body)
		}
	}
	for _, path := range []string{"", "d/"} {
		if _, body := get(t, "GET", s.url+path); strings.Contains(body, `".`) {
			t.Errorf("%s lists %q", path, body)
		}
	}
}

// At a loopback address, requests for another host are refused: see onlyHosts.
func TestHost(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "f"), "contents")
	s := start(t, dir)
	for host, want := range map[string]int{
		"127.0.0.1": 200, "localhost:8080": 200, "LOCALHOST.": 200, "a.localhost": 200, "[::1]:80": 200,
		"127.1.2.3": 200, "evil.example": 421, "evil.example:8080": 421, "localhost.evil.example": 421,
		"127.0.0.1.evil.example": 421, "192.0.2.1": 421, "notlocalhost": 421,
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"f", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want || err != nil || want != 200 && strings.Contains(string(body), "contents") {
			t.Errorf("%s: %s, %q, %v", host, resp.Status, body, err)
		}
	}
	if all := onlyHosts(&net.TCPAddr{IP: net.IPv4zero}, http.NotFoundHandler()); fmt.Sprintf("%T", all) !=
		fmt.Sprintf("%T", http.NotFoundHandler()) {
		t.Errorf("hosts are checked at an address that is not loopback: %T", all)
	}
}

// A request may ask for as many ranges as -ranges says.
func TestRanges(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "f"), strings.Repeat("x", 1000))
	for ranges, args := range map[int][]string{16: nil, 2: {"-ranges", "2"}} {
		s := start(t, dir, args...)
		for n, want := range map[int]int{1: 206, ranges: 206, ranges + 1: 416, 10_000: 416} {
			header := "bytes=0-0" + strings.Repeat(",2-2", n-1)
			if status, _ := get(t, "GET", s.url+"f", "Range", header); status != want {
				t.Errorf("%d of %d ranges: %d", n, ranges, status)
			}
		}
	}
}

// More clients than -connections says are served one after another, also if those before them do
// nothing; and while all connections are in use, the server can be ended.
func TestConnections(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "f"), "contents")
	s := start(t, dir, "-connections", "2")
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	request := func(conn net.Conn) {
		t.Helper()
		if _, err := fmt.Fprint(conn, "GET /f HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	answered := func(conn net.Conn) error {
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	first, second := dial(), dial()
	for _, conn := range []net.Conn{first, second} {
		request(conn)
		if err := answered(conn); err != nil {
			t.Fatal(err)
		}
	}
	third := dial()
	request(third)
	if err := third.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := answered(third); err == nil {
		t.Error("a third connection was served")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := third.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := answered(third); err != nil {
		t.Errorf("after another one was closed: %v", err)
	}
	if status := s.stop(); status != 0 {
		t.Errorf("status %d: %s", status, s.stderr)
	}
}

// A file that is larger than -held is refused where it has to be copied, and others are served.
func TestHeld(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	dir := withoutReflinks(t)
	put(t, filepath.Join(dir, "large"), strings.Repeat("x", 3<<20))
	put(t, filepath.Join(dir, "small"), "contents")
	s := start(t, dir, "-held", "2")
	for path, want := range map[string]int{"large": 503, "small": 200} {
		if status, body := get(t, "GET", s.url+path); status != want {
			t.Errorf("%s: %d, %.80q", path, status, body)
		}
	}
	if status, _ := get(t, "HEAD", s.url+"large"); status != 200 {
		t.Errorf("HEAD: %d", status)
	}
}

// A client that comes back for the rest of a file gets it, and all of a file that was replaced.
func TestResume(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	put(t, name, "old contents")
	s := start(t, dir)
	old := waitTag(t, s.url+"f")
	resume := []string{"Range", "bytes=4-", "If-Range", old}
	if status, body := get(t, "GET", s.url+"f", resume...); status != 206 || body != "contents" {
		t.Errorf("%d, %q", status, body)
	}
	put(t, name+".new", "NEW CONTENTS")
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
	if status, body := get(t, "GET", s.url+"f", resume...); status != 200 || body != "NEW CONTENTS" {
		t.Errorf("replaced: %d, %q", status, body)
	}
}
