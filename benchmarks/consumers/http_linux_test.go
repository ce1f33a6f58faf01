package consumers

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A request is one whose answer net/http's own tests of files check.
type request struct {
	path    string
	headers []string // names and values by turns
	method  string   // GET if it is empty
}

func (r request) String() string { return fmt.Sprintf("%s %s %q", r.method, r.path, r.headers) }

var modified = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

func requests() (all []request) {
	for _, path := range []string{
		"/", "/file.txt", "/file.txt/", "/missing", "/d", "/d/", "/d/index.html", "/index.html", "/plain",
		"/plain/", "/plain?query", "//plain", "/plain/../file.txt", "/plain/%2e%2e/file.txt", "/link",
		"/page.html", "/unknown", "/picture", "/empty", "/a%20%22b%22%3Cc%3E%26", "/..", "/.",
		"/%00", "/file%00.txt", "/%ff",
		"/dangling", "/long" + strings.Repeat("g", 300), `/d\index.html`,
	} {
		all = append(all, request{path: path}, request{path: path, method: "HEAD"})
	}
	for _, ranges := range []string{
		"bytes=0-4", "bytes=2-", "bytes=-5", "bytes=3-7", "bytes=0-0,-2", "bytes=0-1,5-8",
		"bytes=0-1,5-8, ", "bytes=0-", "bytes=5-1000000", "bytes=100000-", "bytes=20-10", "bytes=x", "lines=1-2", "bytes=",
		"bytes=-0", "bytes=0-9999999999999999999", "bytes=0-99999,0-99999", "bytes=4090-4100,8190-8200",
	} {
		all = append(all, request{path: "/file.txt", headers: []string{"Range", ranges}},
			request{path: "/empty", headers: []string{"Range", ranges}})
	}
	date := func(d time.Duration) string { return modified.Add(d).Format(http.TimeFormat) }
	for _, value := range []string{
		date(0), date(-time.Second), date(time.Second), "yesterday", etag, `"version-2"`, "W/" + etag,
		"*",
	} {
		for _, name := range []string{
			"If-Modified-Since", "If-Unmodified-Since", "If-None-Match", "If-Match", "If-Range",
		} {
			conditional := []string{name, value}
			all = append(all, request{path: "/file.txt", headers: conditional},
				request{path: "/file.txt", headers: append(conditional, "Range", "bytes=3-6")},
				request{path: "/file.txt", headers: conditional, method: "HEAD"})
		}
	}
	return append(all,
		request{path: "/d/", headers: []string{"If-Modified-Since", date(0)}},
		request{path: "/plain/", headers: []string{"If-Modified-Since", date(time.Hour)}},
		request{path: "/file.txt", headers: []string{
			"If-None-Match", `"a", ` + etag, "If-Modified-Since", date(-time.Second),
		}},
	)
}

// The answers to all requests are those of http.Dir: status, headers and body. With an ETag, too,
// which a handler around the file server sets.
func TestHTTP(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"file.txt": string(noise(10_000)), "d/index.html": "index", "plain/b": "", "plain/a": "",
		"plain/<c>": "", "page.html": "<p>page", "unknown": "%PDF-1", "picture": "GIF89a", "empty": "",
		`a "b"<c>&`: "quoted", "plain/d/e": "",
	} {
		must(t, os.Chtimes(put(t, dir, name, []byte(content)), modified, modified))
	}
	must(t, os.Symlink("file.txt", filepath.Join(dir, "link")))
	must(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	for _, d := range []string{"d", "plain", "."} {
		must(t, os.Chtimes(filepath.Join(dir, d), modified, modified))
	}
	fsys := newFS(t, dir)
	for name, wrap := range map[string]func(http.Handler) http.Handler{
		"Plain": func(h http.Handler) http.Handler { return h },
		"ETag": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("ETag", etag)
				h.ServeHTTP(w, r)
			})
		},
	} {
		for protocol, http2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
			t.Run(name+protocol, func(t *testing.T) {
				ours := serve(t, wrap(http.FileServerFS(fsys)), http2)
				theirs := serve(t, wrap(http.FileServer(http.Dir(dir))), http2)
				statuses := map[int]int{}
				for _, r := range requests() {
					status, got := ours(r)
					_, want := theirs(r)
					if got != want {
						t.Errorf("%v:\n%s\nwant\n%s", r, got, want)
					}
					statuses[status]++
				}
				seen := slices.Sorted(maps.Keys(statuses))
				if want := []int{200, 206, 301, 304, 404, 412, 416}; !isSubset(want, seen) {
					t.Errorf("the answers are %v: nothing is tested", statuses)
				}
			})
		}
	}
}

func isSubset(a, b []int) bool {
	return !slices.ContainsFunc(a, func(x int) bool { return !slices.Contains(b, x) })
}

// serve starts a server and returns a function that sends it a request and prints the answer.
func serve(t *testing.T, h http.Handler, http2 bool) func(r request) (status int, answer string) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = http2
	if http2 {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	client := server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}
	return func(r request) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), r.method, server.URL+r.path, nil)
		must(t, err)
		for i := 0; i < len(r.headers); i += 2 {
			req.Header.Set(r.headers[i], r.headers[i+1])
		}
		resp, err := client.Do(req)
		must(t, err)
		defer resp.Body.Close()
		if http2 != (resp.ProtoMajor == 2) {
			t.Errorf("the protocol is %s", resp.Proto)
		}
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		resp.Header.Del("Date")
		// The boundary of the parts of a body is random.
		text := string(body)
		if _, boundary, ok := strings.Cut(resp.Header.Get("Content-Type"), "boundary="); ok {
			text = strings.ReplaceAll(text, boundary, "BOUNDARY")
			resp.Header.Set("Content-Type", "multipart/byteranges; boundary=BOUNDARY")
		}
		return resp.StatusCode, fmt.Sprintf("%s %v\n%q", resp.Status, resp.Header, text)
	}
}
