package adapters_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
)

// Behind an io.Pipe, in HTTP/1 and in HTTP/2 another goroutine than that of WriteTo touches
// what it is given. If that were the mapping, a bad sector would end the program. So that none
// of these tests passes because the fault never came, each sees everything before it arrive.

//promise:adapters.Reader.WriteTo a disk error behind an io.Pipe is an error and not a crash
func TestWriteToPipeFault(t *testing.T) {
	d := newBadDisk(t, 1<<20, 300<<10)
	r, w := io.Pipe()
	result := make(chan error)
	go func() {
		n, err := adapters.NewReader(d).WriteTo(w)
		if n != d.bad {
			t.Errorf("%d bytes were written", n)
		}
		_ = w.CloseWithError(err)
		result <- err
	}()
	got, err := io.ReadAll(r)
	if !errors.Is(err, errSector) {
		t.Errorf("reading from the pipe: %v", err)
	}
	if err := <-result; !errors.Is(err, syscall.EIO) || d.views > 0 {
		t.Errorf("%v, %d views", err, d.views)
	}
	same(t, got, d.content[:d.bad])
}

//promise:adapters.Reader.WriteTo a disk error in an HTTP/1 or HTTP/2 response is not a crash
func TestWriteToHTTPFault(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		t.Run(name, func(t *testing.T) {
			d := newBadDisk(t, 1<<20, 300<<10)
			result := make(chan error, 1)
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				// io.Copy prefers WriteTo; the file of an FS does what this does.
				_, err := io.Copy(w, adapters.NewReader(d))
				_ = http.NewResponseController(w).Flush()
				result <- err
				panic(http.ErrAbortHandler) // so that the client sees that it is not all
			}))
			s.EnableHTTP2 = http2
			s.StartTLS()
			defer s.Close()
			resp, err := s.Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if (resp.ProtoMajor == 2) != http2 {
				t.Errorf("the protocol is %s", resp.Proto)
			}
			got, err := io.ReadAll(resp.Body)
			if err == nil {
				t.Error("the client took a part for all")
			}
			if err := <-result; !errors.Is(err, syscall.EIO) || d.views > 0 {
				t.Errorf("%v, %d views", err, d.views)
			}
			same(t, got, d.content[:d.bad])
		})
	}
}
