package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// replaceAll replaces in m what is found. The pages before the first place, and with a
// replacement of the same length all that nothing is found in, stay shared with the file.
func (e edit) replaceAll(ctx context.Context, m *snapshot.MmapMut) (result, error) {
	if len(e.find) == len(e.replace) {
		return e.findAll(ctx, m, m.Size(), func(at int64) error {
			_, err := m.WriteAt(e.replace, at)
			return err
		})
	}
	first := int64(-1)
	res, err := e.findAll(ctx, m, m.Size(), func(at int64) error {
		if first < 0 {
			first = at
		}
		return nil
	})
	if err != nil || res.count == 0 {
		return res, err
	}
	return res, e.shift(ctx, m, int64(res.count), first)
}

// shift replaces what is found by something of another length: count times, from offset first on.
// If the file grows, it moves what comes from there to the new end; then it copies that down
// again, and replaces on the way. What is written never gets ahead of what is read: the distance
// is what the replacements to come will grow by.
func (e edit) shift(ctx context.Context, m *snapshot.MmapMut, count, first int64) error {
	grow := count * int64(len(e.replace)-len(e.find)) // both are below the size of a file
	read, size := first, m.Size()
	if grow > 0 {
		if size > math.MaxInt64-grow {
			return errors.New("the file would be too large")
		}
		if err := m.Resize(size + grow); err != nil {
			return err
		}
		if err := e.moveUp(ctx, m, first, size, grow); err != nil {
			return err
		}
		read += grow
	}
	update, done := e.std.Progress("replacing")
	defer done()
	end := m.Size()
	w := bufio.NewWriterSize(io.NewOffsetWriter(m, first), chunk)
	err := find(ctx, m, read, end, e.find, update, func(at int64) error {
		if err := copyRange(ctx, w, m, read, at); err != nil {
			return err
		}
		read = at + int64(len(e.find))
		_, err := w.Write(e.replace)
		return err
	})
	// If the file has grown, the rest is where it belongs.
	if grow < 0 && err == nil {
		err = copyRange(ctx, w, m, read, end)
	}
	if err := errors.Join(err, w.Flush()); err != nil {
		return err
	}
	if grow < 0 {
		return m.Resize(size + grow)
	}
	return nil
}

// copyRange writes what is between off and end to w.
func copyRange(ctx context.Context, w *bufio.Writer, m *snapshot.MmapMut, off, end int64) error {
	for off < end {
		n := min(int64(chunk), end-off)
		if _, err := w.ReadFrom(io.NewSectionReader(m, off, n)); err != nil {
			return err
		}
		off += n
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// moveUp moves what is between off and end up by some bytes, the last first.
func (e edit) moveUp(ctx context.Context, m *snapshot.MmapMut, off, end, by int64) error {
	update, done := e.std.Progress("making room")
	defer done()
	buf := make([]byte, chunk)
	for total := end - off; end > off; {
		b := buf[:min(int64(chunk), end-off)]
		end -= int64(len(b))
		if n, err := m.ReadAt(b, end); n < len(b) {
			return err
		}
		if _, err := m.WriteAt(b, end+by); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		update(total-(end-off), total)
	}
	return nil
}
