package httpfs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/adapters/httpfs"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Clients that take nothing are given up, and the room of their copies is there for others.
//
//promise:httpfs.Handler a client that takes nothing is given up, and its copy is closed
func TestStalledClients(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	content := random(16 * mib) // more than sockets hold
	for i := range 3 {
		settled(t, dir, fmt.Sprint("f", i), content)
	}
	fsys := newFS(t, dir, snapshot.Config{})
	fsys.SetLimits(adapters.Limits{Held: 40 * mib, Wait: -1})
	server := httptest.NewServer(&httpfs.Handler{FS: fsys, Stall: 100 * time.Millisecond})
	defer server.Close()
	patient := httptest.NewServer(&httpfs.Handler{FS: fsys})
	defer patient.Close()
	for i := range 2 {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /f%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		if _, err := io.ReadFull(conn, make([]byte, 1000)); err != nil { // it is being sent
			t.Fatal(err)
		}
	}
	resp, err := patient.Client().Get(patient.URL + "/f2") // waits for room
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || len(body) != len(content) {
		t.Errorf("%s, %d bytes, %v", resp.Status, len(body), err)
	}
}

// When the only client of a copy goes away, the copy ends.
//
//promise:httpfs.Handler a copy that only one request needs ends when its client goes away
func TestClientGoesAway(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	settled(t, dir, "f", random(32*mib))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended, gone := make(chan error, 1), make(chan struct{})
	var once sync.Once
	var last int64
	var request context.Context
	fsys := newFS(t, dir, snapshot.Config{Progress: func(done, _ int64) {
		once.Do(func() {
			cancel()
			<-request.Done()
			close(gone)
		})
		time.Sleep(20 * time.Millisecond) // the FS learns of it soon
		last = done
	}})
	h := &httpfs.Handler{FS: fsys}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request = r.Context()
		h.ServeHTTP(w, r)
		ended <- nil
	}))
	defer server.Close()
	req, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/f", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(req)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err == nil {
		_ = resp.Body.Close()
	}
	<-gone
	<-ended
	if last == 32*mib {
		t.Error("the whole file was copied")
	}
}

// Each response is one version of a file that is replaced all the time, and so is what comes after
// the file was truncated.
//
//promise:httpfs.Handler each response has bytes of one version, and its ETag
func TestReplacedWhileServed(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		versions := []string{strings.Repeat("a", 3*mib), strings.Repeat("b", 2*mib)}
		put(t, dir, "f", []byte(versions[0]))
		get := serve(t, &httpfs.Handler{FS: newFS(t, dir, snapshot.Config{})})
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				next := filepath.Join(dir, "next")
				err := os.WriteFile(next, []byte(versions[i%2]), 0o644)
				if err = errors.Join(err, os.Rename(next, filepath.Join(dir, "f"))); err != nil {
					t.Error(err)
				}
			}
		})
		tags := map[string]string{}
		for range mounttest.Count(10, 200, 5000) {
			resp := get("GET", "/f")
			body := string(resp.body)
			if body != versions[0] && body != versions[1] || resp.StatusCode != 200 {
				t.Errorf("%s, %d bytes, %d of them a", resp.Status, len(body), strings.Count(body, "a"))
			}
			tag := resp.Header.Get("ETag")
			if was, ok := tags[tag]; tag != "" && ok && was != body[:1] {
				t.Errorf("two versions have the ETag %s", tag)
			}
			tags[tag] = body[:min(len(body), 1)]
		}
		close(stop)
		wg.Wait()
	})
}
