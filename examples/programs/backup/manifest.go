package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// An entry is a line of the manifest.
type entry struct {
	Path    program.Name // below the tree, with slashes
	Mode    string       // as ls(1) shows it
	UID     int          // of the copy, as all that follows
	GID     int
	Size    int64        `json:",omitempty"`
	ModTime time.Time    `json:",omitzero"`
	SHA256  string       `json:",omitempty"`
	Blocks  []byte       `json:",omitempty"` // in place of it, the SHA-256 of each 256 KiB
	Kept    *keptState   `json:",omitempty"`
	Method  string       `json:",omitempty"` // how the file was copied
	Target  program.Name `json:",omitempty"` // of a symbolic link
	Xattrs  string       `json:",omitempty"` // a hash; "" if there are none

	info       fs.FileInfo // of the source
	before     fs.FileInfo // of the source, when its capability was read
	capability []byte      // of the source
}

// describe fills in what a FileInfo tells.
func (e *entry) describe(fi fs.FileInfo) {
	e.Mode, e.info = fi.Mode().String(), fi
	if fi.Mode().Type() != fs.ModeSymlink {
		e.ModTime = fi.ModTime()
	}
	if fi.Mode().IsRegular() {
		e.Size = fi.Size()
	}
}

func (e *entry) isDir() bool     { return e.Mode[0] == 'd' }
func (e *entry) isSymlink() bool { return e.Mode[0] == 'L' }

// preamble is the first line.
type preamble struct {
	Format  string
	Entries int
}

const format = "backup 2"

// writeManifest writes the entries to a new file of the destination that is there, and on the disk,
// as a whole or not at all.
func writeManifest(ctx context.Context, destination *os.Root, entries []*entry) error {
	// Perm: -since does not use a manifest that another user may write to.
	m, err := snapshot.Config{Root: destination, Perm: 0o644}.Create(ctx, manifestName)
	if err != nil {
		return err
	}
	defer m.Close() // discards what was not committed
	w := bufio.NewWriterSize(adapters.NewFile(m), 1<<20)
	enc := json.NewEncoder(w)
	err = enc.Encode(preamble{format, len(entries)})
	for _, e := range entries {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		err = enc.Encode(e)
	}
	if err := errors.Join(err, w.Flush()); err != nil {
		return err
	}
	return m.CommitAndClose()
}

// readManifest reads the manifest of a copy.
func readManifest(ctx context.Context, copied *os.Root) ([]*entry, error) {
	name := filepath.Join(copied.Name(), manifestName)
	f, err := openFile(ctx, copied, manifestName)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	dec := json.NewDecoder(bufio.NewReader(f))
	var p preamble
	if err := dec.Decode(&p); err != nil || p.Format != format {
		return nil, fmt.Errorf("%s: not a manifest", name)
	}
	var entries []*entry
	for {
		e := new(entry)
		err := dec.Decode(e)
		if errors.Is(err, io.EOF) && len(entries) == p.Entries {
			return entries, nil
		}
		if err == nil && (e.Mode == "" || !filepath.IsLocal(string(e.Path))) {
			err = errors.New("not an entry")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: damaged after %d of %d entries: %w", name, len(entries), p.Entries, err)
		}
		entries = append(entries, e)
	}
}
