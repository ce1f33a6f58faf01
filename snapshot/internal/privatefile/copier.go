package privatefile

import (
	"bytes"
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// A chunk is what is copied between two looks at the context, and at what others do to the file.
// It is to take some ten milliseconds on any disk, so it starts small and grows. Larger ones
// than 4 MiB are no faster here, but may be where a server does the copying.
const (
	firstChunk = 256 << 10
	minChunk   = 64 << 10
	maxChunk   = 32 << 20

	minChunkTime = 10 * time.Millisecond
	maxChunkTime = 50 * time.Millisecond
)

// A Copier copies the contents of a file.
type Copier struct {
	ctx      context.Context
	progress func(done, total int64)
	check    func() error // called between two chunks; its error ends the copy
	chunk    int64
	buffered bool // the kernel cannot do it
	buf      []byte
}

func NewCopier(ctx context.Context, progress func(done, total int64)) *Copier {
	return &Copier{ctx: ctx, progress: progress, check: func() error { return nil }, chunk: firstChunk}
}

// Copy makes dst, which is empty, a file of size bytes with the contents of src, both open for
// reading, dst for writing too. Holes stay holes. If seek is set, Copy moves the offset of src to
// find them, else it reads them. The error is errShort if src is shorter.
func (c *Copier) Copy(dst, src int, size int64, seek bool) error {
	if err := sys.Ftruncate(dst, size); err != nil {
		return WriteError(err)
	}
	// A copy that is one hole is written to nowhere else. hugetlbfs refuses all writes, also this
	// one, and cannot hold the copy.
	if _, err := sys.Pwrite(dst, nil, 0); err != nil {
		return WriteError(err)
	}
	if !seek {
		c.buffered = true // copy_file_range(2) would fill the holes
	}
	for off := int64(0); off < size; {
		start, end := off, size
		if seek {
			var err error
			if start, end, err = NextData(src, off, size); err != nil {
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

// NextData returns where the next data at or after off begin and end, both size if there are
// none.
func NextData(src int, off, size int64) (start, end int64, err error) {
	start, err = sys.SeekData(src, off)
	switch {
	case errors.Is(err, syscall.ENXIO):
		return size, size, nil
	case errors.Is(err, errors.ErrUnsupported):
		return off, size, nil
	case err != nil:
		return 0, 0, err
	}
	end, err = sys.SeekHole(src, start)
	if errors.Is(err, syscall.ENXIO) { // cut off between the two calls
		return size, size, nil
	}
	return min(start, size), min(end, size), err
}

func (c *Copier) copyRange(dst, src int, off, end, size int64) error {
	for off < end {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if err := c.check(); err != nil {
			return err
		}
		n, err := c.copyChunk(dst, src, off, min(c.chunk, end-off))
		if err != nil {
			return err
		}
		off += int64(n)
		c.report(off, size)
	}
	return nil
}

// copyChunk copies up to n bytes from off on.
func (c *Copier) copyChunk(dst, src int, off, n int64) (int, error) {
	begin := time.Now()
	defer func() { c.adapt(time.Since(begin)) }()
	if !c.buffered {
		done, err := sys.CopyFileRange(dst, off, src, off, int(n))
		if done > 0 || !cannotCopy(err) {
			return done, sortCopyError(err)
		}
		c.buffered = true
	}
	return c.copyBuffered(dst, src, off, n)
}

// cannotCopy reports whether copy_file_range(2), which copied nothing, cannot copy these files.
func cannotCopy(err error) bool {
	return err == nil || // 0 bytes: a kernel before 5.19 that cannot, or the end, as reading finds, too
		errors.Is(err, syscall.EIO) || // CIFS: it cannot. If it is the disk, reading is EIO, too
		errors.Is(sortCopyError(err), errors.ErrUnsupported)
}

// copyBuffered copies some of n bytes from off on through a buffer. It leaves out blocks of zeros:
// dst has zeros there already.
func (c *Copier) copyBuffered(dst, src int, off, n int64) (int, error) {
	if c.buf == nil {
		c.buf = make([]byte, 1<<20)
	}
	r, err := sys.Pread(src, c.buf[:min(n, int64(len(c.buf)))], off)
	if err != nil {
		return 0, err
	}
	if r == 0 {
		return 0, errShort
	}
	for done := 0; done < r; {
		zeros, data := nextBlocks(c.buf[done:r])
		done += zeros
		for end := done + data; done < end; {
			w, err := sys.Pwrite(dst, c.buf[done:end], off+int64(done))
			if err != nil {
				return done, WriteError(err)
			}
			done += w
		}
	}
	return r, nil
}

// nextBlocks returns how many bytes at the beginning of p are blocks of zeros, and how many bytes
// after them are blocks that are not.
func nextBlocks(p []byte) (zeros, data int) {
	block := func(at int) []byte { return p[at:min(at+len(zeroBlock), len(p))] }
	isZero := func(b []byte) bool { return bytes.Equal(b, zeroBlock[:len(b)]) }
	for zeros < len(p) && isZero(block(zeros)) {
		zeros += len(block(zeros))
	}
	end := zeros
	for end < len(p) && !isZero(block(end)) {
		end += len(block(end))
	}
	return zeros, end - zeros
}

// zeroBlock has the size of the blocks of most filesystems.
var zeroBlock [4096]byte

// adapt sets the size of the next chunk after one that took so long.
func (c *Copier) adapt(took time.Duration) {
	switch {
	case took < minChunkTime:
		c.chunk = min(2*c.chunk, maxChunk)
	case took > maxChunkTime:
		c.chunk = max(c.chunk/2, minChunk)
	}
}

func (c *Copier) report(done, total int64) {
	if c.progress != nil {
		c.progress(done, total)
	}
}
