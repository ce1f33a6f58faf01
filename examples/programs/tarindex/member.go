package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// errUnfit: the index is one, but not of this archive as it is now.
var errUnfit = errors.New("the index does not fit the archive")

// open returns a reader of the contents of a member. It reads the headers again, so that long
// names and sparse files are package tar's business, and checks that they are those that were
// indexed.
func (e member) open(m *snapshot.Mmap) (*tar.Header, *tar.Reader, error) {
	r := &headers{Reader: adapters.NewReader(m)}
	if _, err := r.Seek(e.Offset, io.SeekStart); err != nil {
		return nil, nil, err
	}
	r.begin()
	tr := tar.NewReader(r)
	h, err := tr.Next()
	if err != nil || r.end() != e.Check || h.Size != e.Size || h.Name != string(e.Name) {
		return nil, nil, errUnfit
	}
	return h, tr, nil
}

// sizes returns the sizes of the members of these names, if there are such.
func (ix *index) sizes(names []string) (all []uint64) {
	for _, name := range names {
		if i, ok := ix.byName[name]; ok {
			all = append(all, uint64(ix.members[i].Size))
		}
	}
	return all
}

// cat writes the contents of the member of that name.
func cat(ctx context.Context, out io.Writer, m *snapshot.Mmap, ix *index, name string) error {
	i, ok := ix.byName[name]
	name = program.Printable(name)
	if !ok {
		return fmt.Errorf("%s: not in the archive", name)
	}
	h, r, err := ix.members[i].open(m)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	switch h.Typeflag {
	case tar.TypeLink, tar.TypeSymlink:
		return fmt.Errorf("%s: a link to %s", name, program.Printable(h.Linkname))
	case tar.TypeReg, tar.TypeGNUSparse:
	default:
		return fmt.Errorf("%s: not a regular file", name)
	}
	if err := program.Copy(ctx, out, r, nil); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
