package httpfs

import (
	"io"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
)

// A part is a source up to end. Each read and each View of it extends the
// deadline of the client.
type part struct {
	adapters.Source
	s   *sender
	end int64
}

func (p *part) Size() int64 { return p.end }

func (p *part) ReadAt(b []byte, off int64) (int, error) {
	if off >= p.end {
		return 0, io.EOF
	}
	n := min(int64(len(b)), p.end-off)
	p.s.extend(n)
	return p.Source.ReadAt(b[:n], off)
}

func (p *part) View(off, n int64, f func(b []byte) error) error {
	p.s.extend(n)
	return p.Source.View(off, n, f)
}

// resident is what a file of an FS knows about its memory.
type resident interface {
	Resident(off, n int64) bool
	Prefetch(off, n int64) error
}

// smallSize is the size of files that are read faster than they are mapped.
const smallSize = 128 << 10

func (p *part) Resident(off, n int64) bool {
	r, ok := p.Source.(resident)
	return ok && p.end > smallSize && r.Resident(off, n)
}

func (p *part) Prefetch(off, n int64) error {
	if r, ok := p.Source.(resident); ok {
		return r.Prefetch(off, n)
	}
	return nil
}
