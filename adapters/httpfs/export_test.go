package httpfs

import (
	"net/http"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
)

// Send answers a request with a source, as a Handler does.
func Send(w http.ResponseWriter, r *http.Request, h *Handler, source adapters.Source) {
	s := &sender{ResponseWriter: w, h: h, source: source}
	http.ServeContent(s, r, "f.bin", time.Time{}, adapters.NewReader(source))
}
