package adapters

import (
	"errors"
	"io"
	"os"
	"reflect"
	"sync"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

const (
	// piece is how much is copied through a buffer at once.
	piece = 128 << 10

	// kernelPiece is how much memory is handed to the kernel, and so pinned, at once. It makes
	// up for the costs of a View.
	kernelPiece = 1 << 20
)

// buffers holds what is copied through: *[piece]byte.
var buffers = sync.Pool{New: func() any { return new([piece]byte) }}

// errInvalidWrite is for a writer that claims to have written what it was not given. Package io
// has it unexported.
var errInvalidWrite = errors.New("invalid write result")

// A sink is a writer that a source is copied to.
type sink struct {
	w      io.Writer
	direct bool // it hands memory to the kernel
}

// newSink returns a sink for copies of src. A source that can be changed is copied through a buffer: a
// slow w would have a View run, under which a snapshot cannot shrink.
func newSink(w io.Writer, src Source) sink {
	_, changes := src.(io.WriterAt)
	return sink{w, !changes && !isLeased(src) && handsToKernel(w)}
}

// isLeased reports whether src is read from the file itself, under a lease. It would have to be
// copied to hand its memory to the kernel.
func isLeased(src Source) bool {
	m, ok := src.(interface{ Method() snapshot.Method })
	return ok && m.Method() == snapshot.Lease
}

// piece returns how much to copy at once.
func (s sink) piece() int64 {
	if s.direct {
		return kernelPiece
	}
	return piece
}

// A mapped source knows what of it is in memory.
type mapped interface {
	Resident(off, n int64) bool
	Prefetch(off, n int64) error
}

var (
	_ mapped = (*snapshot.Mmap)(nil)
	_ mapped = (*borrowed)(nil)
)

// ready reports whether the memory of src can be handed to the kernel at no loss. What is not in
// memory is better read through a buffer, for which the kernel reads ahead: 0.8 of the time.
func ready(src Source, off, n int64) bool {
	m, ok := src.(mapped)
	return !ok || m.Resident(off, n) && m.Prefetch(off, n) == nil // which saves the faults
}

// copy writes n bytes of src from off on, less if src is shorter, and returns how many were
// taken.
func (s sink) copy(src Source, off, n int64) (done int64, err error) {
	if s.direct && ready(src, off, n) {
		var viewed bool
		done, viewed, err = s.copyView(src, off, n)
		// If a page cannot be had, the kernel only says EFAULT, whatever the reason. If View
		// fails, the source has shrunk or was closed. Reading what is left tells.
		if viewed && !errors.Is(err, syscall.EFAULT) {
			return done, err
		}
	}
	buf := buffers.Get().(*[piece]byte)
	defer buffers.Put(buf)
	for done < n {
		got, rerr := src.ReadAt(buf[:min(n-done, piece)], off+done)
		if got > 0 {
			written, err := write(s.w, buf[:got])
			done += written
			if err != nil {
				return done, err
			}
		}
		if errors.Is(rerr, io.EOF) {
			return done, nil
		}
		if rerr != nil || got == 0 {
			return done, rerr
		}
	}
	return done, nil
}

// copyView writes a view of n bytes of src from off on, and reports whether there was one. It is a
// function of its own because the variables of a closure take an allocation.
func (s sink) copyView(src Source, off, n int64) (done int64, viewed bool, err error) {
	verr := src.View(off, n, func(b []byte) error {
		done, err = write(s.w, b)
		return nil
	})
	return done, verr == nil, err
}

// write is w.Write, for writers that do not do what an io.Writer has to.
func write(w io.Writer, p []byte) (int64, error) {
	n, err := w.Write(p)
	if n < 0 || n > len(p) {
		n = 0
		if err == nil {
			err = errInvalidWrite
		}
	}
	if n < len(p) && err == nil {
		err = io.ErrShortWrite
	}
	return int64(n), err
}

// handsToKernel reports whether w.Write does nothing with a slice but to pass it to write(2).
// There, a page that cannot be read is an error number. Any other writer may touch it, and in a
// goroutine other than the caller's, as behind an io.Pipe or in HTTP/2, where nothing can catch
// the fault and the program ends.
//
// It takes the exact types. A syscall.Conn will not do: whatever embeds a *net.TCPConn and has
// a Write of its own, to encrypt or count or log, is one. An embedding type has another name.
func handsToKernel(w io.Writer) bool {
	if _, ok := w.(*os.File); ok {
		return true
	}
	// By name, because to import package net makes a program that needs nothing of it link the
	// C library, wherever cgo is enabled. No other package can have that path.
	t := reflect.TypeOf(w)
	if t == nil {
		return false
	}
	if t.Kind() != reflect.Pointer {
		// io.Copy to a *net.TCPConn, as of net/http, gets there with it.
		return t.PkgPath() == "net" && t.Name() == "tcpConnWithoutReadFrom"
	}
	t = t.Elem()
	return t.PkgPath() == "net" && (t.Name() == "TCPConn" || t.Name() == "UnixConn")
}
