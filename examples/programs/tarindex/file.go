package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// The file of an index is a sequence of JSON values: what it is and of which archive, then the
// members.
type preamble struct {
	Format  string
	Size    int64
	ModTime time.Time
	Members int
}

const format = "tarindex 1"

// save makes ix the contents of a file, as a whole: whoever uses the file meanwhile, or after a
// crash, has the old index or the new one.
func save(ctx context.Context, ix *index, at *place) error {
	m, err := snapshot.Config{Root: at.dir, Perm: 0o644}.Create(ctx, at.base)
	if err != nil {
		return err
	}
	defer m.Close() // discards what was not committed
	w := bufio.NewWriterSize(adapters.NewFile(m), 1<<20)
	enc := json.NewEncoder(w)
	err = enc.Encode(preamble{format, ix.size, ix.modTime, len(ix.members)})
	for i := 0; i < len(ix.members) && err == nil; i++ {
		err = errors.Join(enc.Encode(ix.members[i]), ctx.Err())
	}
	if err := errors.Join(err, w.Flush()); err != nil {
		return err
	}
	return m.CommitAndClose()
}

// load reads an index from a file. The error is errUnfit if it is one, but not of the archive m:
// size and time of modification have to be the same, and so have the headers of the first and
// the last member. Those of a member that is read are checked then. So a file that was
// replaced by another of the same size and time is noticed where it matters: before an offset
// that is not in it is used.
func load(ctx context.Context, m *snapshot.Mmap, at *place) (*index, error) {
	file, err := snapshot.Config{Root: at.dir}.Open(ctx, at.base)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	own, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkTrust("the file", own); err != nil {
		return nil, fmt.Errorf("%s: %w", program.Printable(at.name), err)
	}
	fi, err := m.Stat()
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(adapters.NewReader(file))
	var p preamble
	if err := dec.Decode(&p); err != nil && file.Size() > 0 || err == nil && p.Format != format {
		return nil, fmt.Errorf("%s: not an index, and not replaced", program.Printable(at.name)) // it may be the archive
	}
	if p.Size != m.Size() || !p.ModTime.Equal(fi.ModTime()) {
		return nil, errUnfit
	}
	ix := &index{size: p.Size, modTime: p.ModTime}
	for {
		var e member
		err := dec.Decode(&e)
		if err == io.EOF {
			break
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, errUnfit // damaged
		}
		ix.members = append(ix.members, e)
	}
	if len(ix.members) != p.Members {
		return nil, errUnfit // cut off
	}
	if n := len(ix.members); n > 0 {
		for _, e := range []member{ix.members[0], ix.members[n-1]} {
			if _, _, err := e.open(m); err != nil {
				return nil, err
			}
		}
	}
	ix.number()
	return ix, nil
}
