package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
)

// chunk is how much is searched or moved at once. A variable for the tests.
var chunk = 1 << 20

// find calls found with the offset of each place between off and end where pattern is, from left
// to right and without overlaps, as bytes.ReplaceAll finds them. Bytes before the end of the last
// place found may be overwritten by found: they are not read again.
func find(ctx context.Context, src io.ReaderAt, off, end int64, pattern []byte, update func(done, total int64), found func(at int64) error) error {
	buf := make([]byte, max(chunk, 2*len(pattern)))
	for total := end - off; end-off >= int64(len(pattern)); {
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
func (e edit) findAll(ctx context.Context, src io.ReaderAt, size int64, found func(at int64) error) (result, error) {
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
	if res.written = int64(res.count) * int64(len(e.replace)); len(e.replace) != len(e.find) && res.count > 0 {
		res.written = size - first + int64(res.count)*int64(len(e.replace)-len(e.find))
	}
	return res, err
}
