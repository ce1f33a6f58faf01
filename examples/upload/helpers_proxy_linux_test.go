package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A fault is what becomes of a request on its way to the gateway.
type fault int

const (
	passed       fault = iota
	failed             // the gateway does not get it, and the answer is 500
	reset              // the gateway does not get it, and the connection is reset
	pretended          // the gateway does not get it, and the answer is 204
	held               // the gateway does not get it, and there is no answer
	resetMiddle        // half of its body is read, and the connection is reset
	answerLost         // the gateway answers, and the connection is reset
	answerCut          // half of the body of the answer arrives
	answerBroken       // a byte in the middle of the body of the answer is another
	answerBare         // the answer has no checksum
)

// A plan decides about each request: op is the operation as S3 names it, and n counts those of
// this operation from 0 on. It is called from several goroutines.
type plan func(op string, n int) fault

// once is a plan in which a fault hits the first request of an operation.
func once(hit string, f fault) plan {
	return func(op string, n int) fault {
		if op == hit && n == 0 {
			return f
		}
		return passed
	}
}

// A proxy stands between the program and a gateway, on a port of its own on loopback.
type proxy struct {
	gateway *gateway
	server  *httptest.Server
	through *http.Transport

	mu   sync.Mutex // guards the rest
	plan plan
	seen map[string]int
}

func newProxy(t *testing.T, g *gateway) *proxy {
	p := &proxy{gateway: g, through: &http.Transport{
		DisableCompression: true,
		DisableKeepAlives:  true, // so that no goroutine is left to the end of the process
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", *g.socket.Load())
		},
	}}
	p.follow(nil)
	p.server = httptest.NewServer(p)
	t.Cleanup(p.server.Close)
	return p
}

// follow lets plan, unless nil, decide about requests from now on.
func (p *proxy) follow(plan plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan, p.seen = plan, map[string]int{}
}

// operation returns the name that S3 has for the operation of a request.
func operation(r *http.Request) string {
	q := r.URL.Query()
	op := map[string]string{
		"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "POST": "CreateMultipartUpload",
	}
	switch {
	case q.Has("uploadId"):
		op = map[string]string{
			"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload",
		}
	case q.Has("uploads") && r.Method == "GET":
		return "ListMultipartUploads"
	}
	return op[r.Method]
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, f := operation(r), passed
	p.mu.Lock()
	plan, n := p.plan, p.seen[op]
	p.seen[op]++
	p.mu.Unlock()
	if plan != nil {
		f = plan(op, n)
	}
	switch f {
	case failed:
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, "<Error><Code>InternalError</Code>"+
			"<Message>as planned\u202e\nby the test</Message></Error>")
		return
	case pretended:
		w.WriteHeader(http.StatusNoContent)
		return
	case reset:
		drop(w)
		return
	case held:
		_, _ = io.Copy(io.Discard, r.Body) // net/http looks at the connection only after that
		<-r.Context().Done()
		return
	case resetMiddle:
		_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
		drop(w)
		return
	}
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = "http", "gateway", ""
	out.Header.Del("Expect")
	answer, err := p.through.RoundTrip(out)
	if err != nil {
		drop(w)
		return
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || f == answerLost {
		drop(w)
		return
	}
	maps.Copy(w.Header(), answer.Header)
	if f == answerBare {
		w.Header().Del("X-Amz-Checksum-Crc64nvme")
		body = regexp.MustCompile("<ChecksumCRC64NVME>.*</ChecksumCRC64NVME>").ReplaceAll(body, nil)
	}
	if r.Method != "HEAD" {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(answer.StatusCode)
	if len(body) > 0 {
		switch f {
		case answerCut:
			_, _ = w.Write(body[:len(body)/2])
			panic(http.ErrAbortHandler)
		case answerBroken:
			body[len(body)/2]++
		}
	}
	_, _ = w.Write(body)
}

// drop resets the connection of a request.
func drop(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.SetDeadline(time.Now())
	_ = conn.Close()
}
