package httpfs

import (
	"cmp"
	"errors"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
)

// A Handler serves a tree of files, as http.FileServerFS does: with index.html, listings of
// directories, redirects, ranges and conditional requests. The differences:
//
//   - A response has an ETag, made from the Version of [adapters.FS]. It is strong, because a
//     Version belongs to one contents of the file. While the file has no Version, some milliseconds
//     after a change as a rule, the response has neither ETag nor Last-Modified. For two seconds after
//     a change it has no Last-Modified, because times of HTTP are whole seconds. A Range with a
//     time in If-Range or with If-Unmodified-Since is ignored: the response is all of the file.
//   - HEAD, and a response of 304, 412 or 416, take no snapshot. HEAD ignores Range
//     (RFC 9110, 14.2), and has no Content-Type if the name has no known extension.
//   - If the FS is at one of its limits, the response is 503, with Retry-After. If the client goes
//     away, its request does not wait any longer, and a copy that only this request needs ends.
//   - A client that is too slow is given up, however large the file is: see Stall.
//   - A request for more ranges than 16, or than Ranges, is 416. Methods other than GET and HEAD are 405.
//   - A response has X-Content-Type-Options: nosniff, and a file is text/html only if its name says
//     so. A file of another name that looks like HTML or XML is text/plain.
//   - A link that leads out of the tree and a FIFO, socket or device are 404, as is a name with a
//     NUL or with invalid UTF-8.
//
// Over HTTP/1 without TLS, the memory of the snapshot is written to the connection as it is.
//
// A Handler may be used from several goroutines. Its fields must not change meanwhile.
type Handler struct {
	FS *adapters.FS

	// Hide, if not nil, reports whether a file or directory is hidden: it is 404, with all that is
	// below it, and no listing has it. name is as in [fs.ValidPath]. A symbolic link to it is not
	// hidden.
	Hide func(name string) bool

	// Stall is how long a client may take for 1 MiB of a response, in place of
	// http.Server.WriteTimeout, which is for all of it. The default is two minutes, or 9 kB in a
	// second; a negative value leaves the deadline of the connection alone.
	Stall time.Duration

	// Ranges is how many ranges a request may ask for. The default is 16; a negative value is no
	// limit.
	Ranges int
}

const indexPage = "index.html"

// ServeHTTP answers a request. If a file cannot be read after the header of the response was sent,
// the response is shorter than its Content-Length, and net/http closes the connection.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	case r.Method == http.MethodGet && h.Ranges >= 0 &&
		strings.Count(r.Header.Get("Range"), ",") >= cmp.Or(h.Ranges, 16):
		http.Error(w, "too many ranges", http.StatusRequestedRangeNotSatisfiable)
		return
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	isDir := name == "" || strings.HasSuffix(r.URL.Path, "/")
	if name == "" {
		name = "."
	}
	if h.hides(name) {
		h.fail(w, r, fs.ErrNotExist)
		return
	}
	info, err := h.FS.Stat(name)
	index := false
	if err == nil && info.IsDir() && isDir && !h.hides(path.Join(name, indexPage)) {
		page, pageErr := h.FS.Stat(path.Join(name, indexPage))
		if index = pageErr == nil && page.Mode().IsRegular(); index {
			info, name = page, path.Join(name, indexPage)
		}
	}
	switch {
	case err != nil:
		h.fail(w, r, err)
	case !info.Mode().IsRegular() && !info.IsDir():
		h.fail(w, r, fs.ErrNotExist)
	case info.IsDir() || isDir != index || path.Base(r.URL.Path) == indexPage:
		// A listing, or a redirect.
		http.FileServerFS(&tree{h, name, info}).ServeHTTP(&sender{ResponseWriter: w, h: h}, r)
	default:
		h.serveFile(w, r, name, info)
	}
}

// hides reports whether name, or a directory that it lies in, is hidden.
func (h *Handler) hides(name string) bool {
	if h.Hide == nil || name == "." {
		return false
	}
	return h.Hide(name) || h.hides(path.Dir(name))
}

// fail answers with the status for an error.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	switch {
	case isMissing(err):
		status = http.StatusNotFound
	case errors.Is(err, fs.ErrPermission):
		status = http.StatusForbidden
	case errors.Is(err, adapters.ErrLimit), r.Context().Err() != nil, isBusy(err):
		w.Header().Set("Retry-After", "10")
		status = http.StatusServiceUnavailable
	}
	for _, field := range []string{"ETag", "Last-Modified", "Content-Type"} {
		w.Header().Del(field)
	}
	// The text of the error can have names and sizes that are not the client's business.
	http.Error(w, http.StatusText(status), status)
}
