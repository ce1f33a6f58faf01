package main

import (
	"archive/zip"
	"cmp"
	"fmt"
	"slices"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
)

// apart returns the members whose data share no byte of the archive with another of them, and an
// error for each of the rest. If members overlap, some KiB of archive can hold any number of GiB.
// Of two that overlap, the first in the archive stays.
func apart(members []*zip.File) (kept []*zip.File, errs []error) {
	type span struct {
		f          *zip.File
		begin, end uint64
	}
	var spans []span
	for _, f := range members {
		// A member that has no data cannot overlap; one that has no offset cannot be opened.
		if off, err := f.DataOffset(); err == nil && f.CompressedSize64 > 0 {
			begin := uint64(off)
			spans = append(spans, span{f, begin, max(begin, begin+f.CompressedSize64)})
		}
	}
	slices.SortStableFunc(spans, func(a, b span) int { return cmp.Compare(a.begin, b.begin) })
	overlaps, last := map[*zip.File]bool{}, span{}
	for _, s := range spans {
		if s.begin < last.end {
			overlaps[s.f] = true
			// Not the name of the other: of 64 KiB, and in each error, it would fill the memory.
			errs = append(errs, fmt.Errorf("%s: overlaps another member: such an archive is damaged,"+
				" or made to fill the disk", program.Printable(s.f.Name)))
			continue
		}
		last = s
	}
	for _, f := range members {
		if !overlaps[f] {
			kept = append(kept, f)
		}
	}
	return kept, errs
}
