package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// chunk is how much is searched or moved at once. A variable for the tests.
var chunk = 1 << 20

// A source is a snapshot.
type source interface {
	io.ReaderAt
	SeekData(off int64) (int64, error)
	SeekHole(off int64) (int64, error)
}

// find calls found with the offset of each place between off and end where pattern is, from left
// to right and without overlaps, as bytes.ReplaceAll finds them. Bytes before the end of the last
// place found may be overwritten by found: they are not read again. Holes are not read, unless the
// pattern can be found in them.
func find(ctx context.Context, src source, off, end int64, pattern []byte, update func(done, total int64), found func(at int64) error) error {
	buf := make([]byte, max(chunk, 2*len(pattern)))
	inHoles := len(bytes.Trim(pattern, "\x00")) == 0
	for total := end - off; end-off >= int64(len(pattern)); {
		if !inHoles {
			data, err := src.SeekData(off)
			if errors.Is(err, syscall.ENXIO) {
				return nil // only zeros follow
			}
			if err != nil {
				return err
			}
			// The pattern may begin with zeros of the hole.
			if off = max(off, data-int64(len(pattern)-1)); end-off < int64(len(pattern)) {
				return nil
			}
		}
		b := buf[:min(int64(len(buf)), end-off)]
		if n, err := src.ReadAt(b, off); n < len(b) {
			return err
		}
		next := 0
		for {
			i := bytes.Index(b[next:], pattern)
			if i < 0 {
				break
			}
			if err := found(off + int64(next+i)); err != nil {
				return err
			}
			next += i + len(pattern)
		}
		// What begins in the last bytes may end in the next chunk.
		off += int64(max(next, len(b)-len(pattern)+1))
		if err := ctx.Err(); err != nil {
			return err
		}
		update(total-(end-off), total)
	}
	return nil
}

// findAll counts and shows the places, and calls found, unless nil, with each. The bytes that
// will be written are those that change, and if the length changes, all that comes after the
// first place.
func (e edit) findAll(ctx context.Context, src source, size int64, found func(at int64) error) (result, error) {
	var res result
	first := int64(-1)
	update, end := e.std.Progress("searching")
	defer end()
	err := find(ctx, src, 0, size, e.find, update, func(at int64) error {
		if first < 0 {
			first = at
		}
		res.count++
		if _, err := fmt.Fprintln(e.shown, at); err != nil {
			return err
		}
		if found != nil {
			return found(at)
		}
		return nil
	})
	if err != nil {
		return res, err
	}
	if res.written = int64(res.count) * int64(len(e.replace)); len(e.replace) != len(e.find) && res.count > 0 {
		res.written = size - first + int64(res.count)*int64(len(e.replace)-len(e.find))
		res.filled, err = holes(src, first, size)
	}
	return res, err
}

// holes returns how many bytes between off and size are in holes.
func holes(src source, off, size int64) (n int64, err error) {
	for off < size {
		data, err := src.SeekData(off)
		if errors.Is(err, syscall.ENXIO) {
			return n + size - off, nil
		}
		if err != nil {
			return n, err
		}
		n += data - off
		if off, err = src.SeekHole(data); err != nil {
			return n, err
		}
	}
	return n, nil
}
