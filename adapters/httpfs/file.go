package httpfs

import (
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
)

// serveFile answers a request for a regular file that info describes.
func (h *Handler) serveFile(w http.ResponseWriter, r *http.Request, name string, info fs.FileInfo) {
	if r.Method == http.MethodHead || isPartByTime(r) {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
	}
	untyped := mime.TypeByExtension(path.Ext(name)) == ""
	if !h.serveWithout(w, r, info, untyped) {
		return
	}
	opened, err := h.FS.OpenContext(r.Context(), name)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	defer opened.Close()
	info, err = opened.Stat()
	source, ok := opened.(adapters.Source)
	if err != nil || !ok { // replaced by a directory just now
		h.fail(w, r, fs.ErrNotExist)
		return
	}
	validators(w.Header(), info)
	s := &sender{ResponseWriter: w, h: h, source: source, untyped: untyped}
	http.ServeContent(s, r, name, modTime(info), adapters.NewReader(source))
}

// serveWithout answers a request that needs no contents, and reports false, or true if it needs some.
func (h *Handler) serveWithout(
	w http.ResponseWriter, r *http.Request, info fs.FileInfo, untyped bool,
) bool {
	validators(w.Header(), info)
	if r.Method == http.MethodHead {
		if untyped {
			w.Header()["Content-Type"] = nil // or ServeContent would read
		}
		http.ServeContent(w, r, info.Name(), modTime(info), &hole{size: info.Size()})
		return false
	}
	if !isConditional(r) {
		return true
	}
	head := r.Clone(r.Context())
	head.Method = http.MethodHead
	t := &trial{header: w.Header().Clone(), w: w}
	t.header["Content-Type"] = nil
	http.ServeContent(t, head, info.Name(), modTime(info), &hole{size: info.Size()})
	return !t.answered
}

// isConditional reports whether the answer to a GET request may have no contents.
func isConditional(r *http.Request) bool {
	for _, field := range []string{
		"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "Range",
	} {
		if _, ok := r.Header[field]; ok {
			return true
		}
	}
	return false
}

// isPartByTime reports whether a request wants a part of the version that a time tells, and no ETag.
// Other versions can have the same time, so it gets all of the file.
func isPartByTime(r *http.Request) bool {
	if cond := r.Header.Get("If-Range"); cond != "" {
		_, err := http.ParseTime(cond)
		return err == nil
	}
	return r.Header.Get("If-Unmodified-Since") != "" && r.Header.Get("If-Match") == ""
}

// validators sets the ETag.
func validators(header http.Header, info fs.FileInfo) {
	if v := version(info); v != "" {
		header.Set("ETag", `"`+v+`"`)
	} else {
		header.Del("ETag")
	}
	header.Del("Last-Modified")
}

// modTime returns the time for Last-Modified, which is zero for none. HTTP has whole seconds: the file
// can be changed again within the same one.
func modTime(info fs.FileInfo) time.Time {
	if version(info) == "" || time.Since(info.ModTime()) < 2*time.Second {
		return time.Time{}
	}
	return info.ModTime()
}

func version(info fs.FileInfo) string {
	if v, ok := info.(interface{ Version() string }); ok {
		return v.Version()
	}
	return ""
}

// A hole has a size and no contents. No code reads it.
type hole struct{ size, off int64 }

func (h *hole) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func (h *hole) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		offset += h.size
	}
	h.off = offset
	return offset, nil
}

// A trial is the response to a request without its body. It is sent if it has no contents.
type trial struct {
	w        http.ResponseWriter
	header   http.Header
	answered bool
}

func (t *trial) Header() http.Header { return t.header }

func (t *trial) WriteHeader(status int) {
	if status < 300 {
		return
	}
	t.answered = true
	clear(t.w.Header())
	for field, values := range t.header {
		if len(values) > 0 {
			t.w.Header()[field] = values
		}
	}
	t.w.WriteHeader(status)
}

func (t *trial) Write(p []byte) (int, error) {
	if t.answered {
		return t.w.Write(p)
	}
	return len(p), nil
}

// isMarkup reports whether a browser runs scripts of contents of this type.
func isMarkup(contentType string) bool {
	return strings.HasPrefix(contentType, "text/html") || strings.HasPrefix(contentType, "text/xml")
}
