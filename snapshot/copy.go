package snapshot

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

const (
	// chunk is how much is copied between two looks at the context.
	chunk = 32 << 20

	// attempts is how often a file that keeps changing is copied before giving up. The pauses
	// between them double from a millisecond and add up to half a second.
	attempts = 10
)

// A copier copies the contents of a file.
type copier struct {
	ctx      context.Context
	progress func(done, total int64)
}

// compared copies src to dst, both open for reading, dst for writing too and empty, until src
// was the same before and after.
func (c copier) compared(dst, src int, sparse bool) error {
	for i := range attempts {
		before, err := sysFstat(src)
		if err != nil {
			return err
		}
		copied := c.copy(dst, src, before.Size, sparse)
		if copied != nil && copied != io.ErrUnexpectedEOF {
			return copied
		}
		after, err := sysFstat(src)
		if err != nil {
			return err
		}
		if copied == nil && same(before, after) {
			return nil
		}
		if err := sysFtruncate(dst, 0); err != nil {
			return err
		}
		if err := pause(c.ctx, i); err != nil {
			return err
		}
	}
	return ErrUnstable
}

// same reports whether a file has stayed the same, as far as its attributes tell.
func same(a, b syscalls.Stat) bool {
	return a.Dev == b.Dev && a.Ino == b.Ino && a.Size == b.Size && a.Mtime.Equal(b.Mtime) && a.Ctime.Equal(b.Ctime)
}

// copy makes dst, which is empty, a file of size bytes with the contents of src. Holes stay
// holes if sparse says that the offset of src may be moved to find them. The error is
// io.ErrUnexpectedEOF if src is shorter.
func (c copier) copy(dst, src int, size int64, sparse bool) error {
	if err := sysFtruncate(dst, size); err != nil {
		return err
	}
	for off := int64(0); off < size; {
		start, end := off, size
		if sparse {
			var err error
			if start, end, err = extent(src, off, size); err != nil {
				return err
			}
		}
		if err := c.copyRange(dst, src, start, end, size); err != nil {
			return err
		}
		off = end
	}
	c.report(size, size)
	return nil
}

// extent returns where the next data at or after off begin and end, both size if there are
// none.
func extent(src int, off, size int64) (start, end int64, err error) {
	start, err = sysSeekData(src, off)
	switch {
	case errors.Is(err, syscall.ENXIO):
		return size, size, nil
	case errors.Is(err, errors.ErrUnsupported):
		return off, size, nil
	case err != nil:
		return 0, 0, err
	}
	end, err = sysSeekHole(src, start)
	if errors.Is(err, syscall.ENXIO) { // cut off between the two calls
		return size, size, nil
	}
	return min(start, size), min(end, size), err
}

func (c copier) copyRange(dst, src int, off, end, size int64) error {
	inKernel := true
	for off < end {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		n, err := 0, error(nil)
		if inKernel {
			n, err = sysCopyFileRange(dst, off, src, off, int(min(chunk, end-off)))
			// EIO is what CIFS says for "cannot"; if it is the disk's, reading will say so
			// again. 0 may be the end, or a kernel before 5.19 that cannot.
			if n == 0 && (err == nil || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EIO)) {
				inKernel = false
				continue
			}
		} else {
			n, err = copyChunk(dst, src, off, end)
		}
		if err != nil {
			return err
		}
		off += int64(n)
		c.report(off, size)
	}
	return nil
}

// copyChunk copies some bytes from off on through a buffer.
func copyChunk(dst, src int, off, end int64) (int, error) {
	buf := make([]byte, min(1<<20, end-off))
	n, err := sysPread(src, buf, off)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	for done := 0; done < n; {
		w, err := sysPwrite(dst, buf[done:n], off+int64(done))
		if err != nil {
			return done, err
		}
		done += w
	}
	return n, nil
}

func (c copier) report(done, total int64) {
	if c.progress != nil {
		c.progress(done, total)
	}
}

// pause waits before attempt i+1, or until the context ends.
func pause(ctx context.Context, i int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Millisecond << i):
		return nil
	}
}
