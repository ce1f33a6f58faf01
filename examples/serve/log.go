package main

import (
	"io"
	"log"
	"net/http"
	"time"
)

// logged writes a line for each request when it has been answered: from whom, method, path,
// status, bytes of the body, time.
func logged(logger *log.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		c := &counter{ResponseWriter: w, status: http.StatusOK}
		// Also if next panics: with http.ErrAbortHandler, package http ends a response like that.
		defer func() {
			// %q: a path may hold anything, a line break too.
			logger.Printf("%s %s %q %d %d %v", r.RemoteAddr, r.Method, r.URL.Path, c.status, c.bytes,
				time.Since(begin).Round(time.Microsecond))
		}()
		next.ServeHTTP(c, r)
	})
}

// A counter remembers the status of a response and counts the bytes of its body.
type counter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (c *counter) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols { // others are not the last
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.bytes += int64(n)
	return n, err
}

// ReadFrom lets net/http send r in its fastest way.
func (c *counter) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(c.ResponseWriter, r)
	c.bytes += n
	return n, err
}

// Unwrap is for http.ResponseController.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }
