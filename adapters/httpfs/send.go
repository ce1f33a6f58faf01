package httpfs

import (
	"cmp"
	"io"
	"net/http"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
)

// A sender is the http.ResponseWriter for one file, or for a listing.
type sender struct {
	http.ResponseWriter
	h       *Handler
	source  adapters.Source
	untyped bool  // the name does not tell the type of the contents
	left    int64 // bytes that the client may take until the deadline
}

func (s *sender) WriteHeader(status int) {
	if s.untyped && isMarkup(s.Header().Get("Content-Type")) {
		s.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (s *sender) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// extend gives the client time for the next n bytes, together with others up to 1 MiB.
func (s *sender) extend(n int64) {
	if s.left -= n; s.left >= 0 {
		return
	}
	s.left = 1<<20 - n // if less than 0, the next bytes get time, too
	if stall := cmp.Or(s.h.Stall, 2*time.Minute); stall > 0 {
		// A ResponseWriter that knows no deadlines, of a test for instance, does without.
		_ = http.NewResponseController(s.ResponseWriter).SetWriteDeadline(time.Now().Add(stall))
	}
}

// Write sends a part of a response with several ranges.
func (s *sender) Write(p []byte) (int, error) {
	s.extend(int64(len(p)))
	return s.ResponseWriter.Write(p)
}

// ReadFrom sends what r, an *io.LimitedReader of ServeContent, has.
func (s *sender) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		return io.Copy(struct{ io.Writer }{s}, r)
	}
	from, ok := limited.R.(*adapters.Reader)
	if !ok { // several ranges
		return io.Copy(struct{ io.Writer }{s}, r)
	}
	off, err := from.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	part := &part{s.source, s, off + limited.N}
	reader := adapters.NewReader(part)
	if _, err := reader.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	// Underneath, net/http sends the header and hands the connection to the WriteTo of content.
	n, err := io.Copy(s.ResponseWriter, content{reader})
	limited.N -= n
	return n, err
}

// content is a Reader with no more methods than io.Copy needs.
type content struct{ r *adapters.Reader }

func (c content) Read(p []byte) (int, error) { return c.r.Read(p) }

// WriteTo lets w call it again, with what w writes to.
func (c content) WriteTo(w io.Writer) (int64, error) {
	if to, ok := w.(io.ReaderFrom); ok {
		return to.ReadFrom(c)
	}
	return c.r.WriteTo(w)
}
