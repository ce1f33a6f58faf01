package benchmarks

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters/httpfs"
	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
)

// gettingHTTP compares ways to get a file by HTTP.
func gettingHTTP(tb testing.TB, dir string, size int64) interleave.Comparison {
	base := fmt.Sprint("http", size)
	file(tb, dir, base, size)
	fsys := newFS(tb, dir)
	c := interleave.Comparison{Bytes: size}
	for _, way := range []struct {
		name    string
		handler http.Handler
	}{
		{"FileServerFS(os.DirFS)", http.FileServerFS(os.DirFS(dir))},
		{"FileServerFS(FS)", http.FileServerFS(fsys)},
		{"Handler", &httpfs.Handler{FS: fsys}},
	} {
		url := serving(tb, way.handler) + "/" + base
		buf := make([]byte, mib)
		get := func() {
			resp, err := http.Get(url)
			check(tb, err)
			n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buf)
			check(tb, err)
			if n != size || resp.StatusCode != http.StatusOK {
				tb.Errorf("%s: %d bytes, %s", way.name, n, resp.Status)
			}
			closing(tb, resp.Body)
		}
		get()
		get() // the second read of a page finds it in memory
		c.Ways = append(c.Ways, interleave.Once(way.name, get))
	}
	return c
}

// serving runs a server and returns its URL.
func serving(tb testing.TB, handler http.Handler) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(tb, err)
	server := &http.Server{Handler: handler}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	tb.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		check(tb, server.Close())
		<-ended
	})
	return "http://" + l.Addr().String()
}
