package privatefile

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// readerChunk is how much is read from a reader at once.
const readerChunk = 1 << 20

// CopyReader makes a private copy of the first size bytes of r.
func (o Options) CopyReader(ctx context.Context, r io.ReaderAt, size int64) (p File, err error) {
	if size <= SmallSize {
		contents := make([]byte, size)
		err := o.readPieces(ctx, r, size, contents, func([]byte, int64) error { return nil })
		return inMemory(contents, result{}), err
	}
	buf := make([]byte, readerChunk)
	err = o.search(noFile, 0, size, false, func(u Unnamed) error {
		made := false // else it is given back, also if r panics
		defer func() {
			if !made {
				discard(ctx, u.FD)
			}
		}()
		err := o.readPieces(ctx, r, size, buf, func(b []byte, off int64) error {
			for len(b) > 0 {
				n, err := sys.Pwrite(u.FD, b, off)
				if err != nil {
					return WriteError(err)
				}
				b, off = b[n:], off+int64(n)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if u.place == memory {
			if err := sys.Seal(u.FD); err != nil {
				return err
			}
		}
		own, err := sys.Fstat(u.FD)
		if err == nil {
			err = checkCopy(own)
		}
		made = err == nil
		u.Where = o.where(u)
		p = File{Unnamed: u, Size: size, Owner: own.UID}
		return err
	})
	return p, err
}

// readPieces reads the first size bytes of r to buf, in pieces if that is shorter, and calls use
// with each piece and its offset.
func (o Options) readPieces(
	ctx context.Context, r io.ReaderAt, size int64, buf []byte, use func(b []byte, off int64) error,
) error {
	for off := int64(0); ; {
		if err := ctx.Err(); err != nil || off >= size {
			return err
		}
		piece := buf[:min(int64(len(buf)), size-off)]
		n, err := r.ReadAt(piece, off)
		switch {
		case n < 0 || n > len(piece):
			return fmt.Errorf("the reader returned %d of %d bytes", n, len(piece))
		case err != nil && !errors.Is(err, io.EOF): // such as a checksum of all bytes that is wrong
			return err
		case n < len(piece):
			return fmt.Errorf("the reader ended at %d of %d bytes: %w",
				off+int64(n), size, io.ErrUnexpectedEOF)
		}
		if err := use(piece, off); err != nil {
			return err
		}
		off += int64(len(piece))
		if o.Progress != nil {
			o.Progress(off, size)
		}
	}
}
