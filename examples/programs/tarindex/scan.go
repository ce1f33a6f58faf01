package main

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// A member is where a member of the archive is, and what listing it needs.
type member struct {
	Name    program.Name
	Offset  int64 // of its first header, extended ones included
	Size    int64 // of the contents
	ModTime time.Time
	Check   [8]byte // of the hash of its headers
}

// An index is where all members of one version of an archive are.
type index struct {
	size    int64
	modTime time.Time
	members []member
	byName  map[string]int // the last of the name, which is what extracting all would leave
}

// scan reads the headers of all members, and skips what is between them.
func scan(ctx context.Context, m *snapshot.Mmap, update func(done, total int64)) (*index, error) {
	fi, err := m.Stat()
	if err != nil {
		return nil, err
	}
	ix := &index{size: m.Size(), modTime: fi.ModTime()}
	r := &headers{Reader: adapters.NewReader(m)}
	for tr := tar.NewReader(r); ; {
		r.begin()
		h, err := tr.Next()
		if cerr := ctx.Err(); cerr != nil {
			return nil, cerr
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, badArchive(m, r.start, err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue // not a member
		}
		ix.members = append(ix.members, member{program.Name(h.Name), r.start, h.Size, h.ModTime, r.end()})
		update(r.start, m.Size())
	}
	ix.number()
	return ix, nil
}

// number fills byName.
func (ix *index) number() {
	ix.byName = make(map[string]int, len(ix.members))
	for i, e := range ix.members {
		ix.byName[string(e.Name)] = i
	}
}

// badArchive is the error for an archive that cannot be read on.
func badArchive(m *snapshot.Mmap, off int64, err error) error {
	var magic [6]byte
	_, _ = m.ReadAt(magic[:], 0)
	switch {
	case string(magic[:2]) == "\x1f\x8b", string(magic[:3]) == "BZh", string(magic[:]) == "\xfd7zXZ\x00", string(magic[:4]) == "\x28\xb5\x2f\xfd":
		err = fmt.Errorf("it is compressed: that has no offsets to go to (%w)", err)
	default:
		err = fmt.Errorf("at offset %d: %w", off, err)
	}
	return &fs.PathError{Op: "read", Path: m.Name(), Err: err}
}

// blockSize is that of the format; headers are of whole blocks.
const blockSize = 512

// headers is what a tar.Reader reads from, and remembers what that does not tell: where the
// headers of a member begin, and what is in them. A tar.Reader reads headers in whole blocks;
// of the contents before, which it skips with Seek, it reads one byte, and then the padding,
// which is less than a block.
type headers struct {
	*adapters.Reader
	start int64 // of the headers read since begin
	found bool
	ended bool
	hash  [sha256.Size]byte // of the headers so far: of the last hash and the next read
}

// begin is to be called before Next.
func (h *headers) begin() { h.found, h.ended, h.hash = false, false, [sha256.Size]byte{} }

// end is to be called after Next. It returns the check of the headers.
func (h *headers) end() [8]byte {
	h.ended = true
	return [8]byte(h.hash[:])
}

func (h *headers) Read(p []byte) (int, error) {
	off, err := h.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	n, err := h.Reader.Read(p)
	if !h.found && n > 0 {
		h.start = off
		h.found = n == blockSize
	}
	if h.found && !h.ended {
		h.hash = sha256.Sum256(append(h.hash[:], p[:n]...))
	}
	return n, err
}
