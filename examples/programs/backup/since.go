package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A previous is the copy that -since names.
type previous struct {
	tree    *os.Root
	entries map[program.Name]*entry // of files with a kept state
}

// openPrevious opens a complete copy. A user who may write to its manifest could decide what is not
// copied.
func openPrevious(ctx context.Context, name string) (*previous, error) {
	root, err := openRoot(name)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	for _, in := range []string{".", manifestName} {
		fi, err := root.Stat(in)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("not a complete copy: %w", err)
		}
		if err != nil {
			return nil, err
		}
		if !ownersAlone(fi) {
			return nil, fmt.Errorf("%s: another user may write to it: not used by -since",
				filepath.Join(name, in))
		}
	}
	entries, err := readManifest(ctx, root)
	if err != nil {
		return nil, err
	}
	p := &previous{entries: map[program.Name]*entry{}}
	for _, e := range entries {
		s := e.Kept
		if s != nil && s.Size == e.Size && int64(len(e.Blocks)) == blocksIn(e.Size)*sha256.Size {
			p.entries[e.Path] = e
		}
	}
	p.tree, err = openBelow(root, treeName)
	return p, err
}

func (p *previous) close() {
	if p != nil {
		_ = p.tree.Close()
	}
}

// copyChanges makes the file of e out of the file in the previous copy and of the ranges of m that
// changed since. It reports false, and has done nothing, if that cannot be.
func (c *copier) copyChanges(
	ctx context.Context, e *entry, m *snapshot.Mmap, progress func(n int),
) (bool, error) {
	if c.since == nil || c.since.entries[e.Path] == nil {
		return false, nil
	}
	ch := &changes{m: m, progress: progress}
	err := c.tryChanges(ctx, e, c.since.entries[e.Path], ch)
	if whole := (*wholeError)(nil); errors.As(err, &whole) {
		c.say(e, "copied whole: "+whole.Error())
		ch.advance(0)
		if err := c.dst.Remove(string(e.Path)); !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		return false, nil
	}
	if err == nil {
		e.Blocks, e.Method = ch.blocks, changed
		c.mu.Lock()
		defer c.mu.Unlock()
		c.read += ch.read
	}
	return true, err
}

// tryChanges returns a *wholeError if the file has to be copied whole.
func (c *copier) tryChanges(ctx context.Context, e, p *entry, ch *changes) error {
	old, err := c.keep.openState(ctx, *p.Kept)
	if err != nil {
		return err
	}
	defer old.Close()
	base, err := openFile(ctx, c.since.tree, string(p.Path))
	if err != nil {
		return wholeUnless(ctx, err)
	}
	defer base.Close()
	if err := checkSize(base, p.Size); err != nil {
		return wholeUnless(ctx, fmt.Errorf("the previous copy is not as in its manifest: %w", err))
	}
	ch.file, err = c.dst.OpenFile(string(e.Path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return lackIfRefused(err)
	}
	ch.blocks = append(ch.blocks, p.Blocks...)
	err = ch.start(ctx, base, p.Size)
	if err == nil {
		err = ch.write(ctx, old)
	}
	return errors.Join(err, ch.file.Close())
}

// A wholeError is a reason to copy a file whole.
type wholeError struct{ err error }

func (e *wholeError) Error() string { return e.err.Error() }
func (e *wholeError) Unwrap() error { return e.err }

// wholeUnless makes an error a reason to copy a file whole, unless the context ended.
func wholeUnless(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &wholeError{err}
}

// checkSize returns an error if f does not have that size.
func checkSize(f *os.File, size int64) error {
	fi, err := f.Stat()
	if err == nil && fi.Size() != size {
		err = fmt.Errorf("%s, not %d", program.Count(fi.Size(), "byte", "bytes"), size)
	}
	return err
}

// changes makes a file of a copy of its previous state and of the ranges that changed.
type changes struct {
	file     *os.File
	m        *snapshot.Mmap
	progress func(n int)
	at       int64  // bytes that progress was called with
	blocks   []byte // the hashes of the blocks
	hashed   int64  // the number of blocks that no later range lies in
	read     int64  // bytes of the snapshot
}

// start makes the file a copy of base: a reflink if that can be.
func (c *changes) start(ctx context.Context, base *os.File, size int64) error {
	err := syscalls.Ficlone(int(c.file.Fd()), int(base.Fd()))
	if err == nil {
		err = checkSize(c.file, size) // before Linux 6.9 a clone can end early, with no error
	}
	if err == nil {
		return nil
	}
	if err := c.file.Truncate(0); err != nil { // a clone may have left a part
		return err
	}
	dst := &sparseWriter{file: c.file}
	err = program.Copy(ctx, dst, io.LimitReader(base, size), func(n int) { c.advance(c.at + int64(n)) })
	return c.failed(ctx, dst, err)
}

// failed tells an error of writing to dst from one of reading: then copying the whole file will tell
// whether that is serious.
func (c *changes) failed(ctx context.Context, dst *sparseWriter, err error) error {
	if err != nil && dst.err == nil {
		return wholeUnless(ctx, err)
	}
	return lackIfRefused(err)
}

func (c *changes) write(ctx context.Context, old *snapshot.Mmap) error {
	size := c.m.Size()
	if err := c.file.Truncate(size); err != nil {
		return lackIfRefused(err)
	}
	n := blocksIn(size) * sha256.Size
	c.blocks = append(c.blocks, make([]byte, max(0, n-int64(len(c.blocks))))...)[:n]
	for r, err := range c.m.Changed(ctx, old) {
		end := min(r.Off+r.Len, size)
		dst := &sparseWriter{file: c.file, off: r.Off, punch: true}
		if err == nil {
			err = c.copyRange(ctx, dst, r.Off, end)
		}
		if err == nil {
			err = c.hashRange(ctx, r.Off, r.Off+r.Len)
		}
		if err != nil {
			return c.failed(ctx, dst, err)
		}
		c.advance(max(c.at, end))
	}
	c.advance(size)
	return nil
}

// hashRange hashes the blocks that a range touches again.
func (c *changes) hashRange(ctx context.Context, off, end int64) error {
	size := c.m.Size()
	first := max(c.hashed, off/hashedBlock)
	last := min(blocksIn(end), blocksIn(size))
	if first >= last {
		return nil
	}
	h := &blockHash{hash: sha256.New()}
	err := c.copyRange(ctx, h, first*hashedBlock, min(last*hashedBlock, size))
	h.end()
	copy(c.blocks[first*sha256.Size:], h.sums)
	c.hashed = last
	return err
}

// copyRange writes a range of the snapshot to w.
func (c *changes) copyRange(ctx context.Context, w io.Writer, off, end int64) error {
	if off >= end {
		return nil
	}
	src := io.NewSectionReader(adapters.NewReader(c.m), off, end-off)
	return program.Copy(ctx, w, src, func(n int) { c.read += int64(n) })
}

// advance calls progress with the bytes from where it is; fewer than none if all begins again.
func (c *changes) advance(to int64) {
	const most = 1 << 30 // an int on every machine
	for c.at != to {
		n := max(-most, min(to-c.at, most))
		c.progress(int(n))
		c.at += n
	}
}

// forgetPrevious removes the states that the previous copy needed. The new copy is complete by now,
// so nothing that fails here is a reason to give it up.
func (c *copier) forgetPrevious(ctx context.Context) {
	if c.keep == nil {
		return
	}
	dirs := map[string]bool{c.keep.own: true}
	if c.since != nil {
		for _, e := range c.since.entries {
			if err := c.keep.forget(ctx, *e.Kept); err != nil {
				c.say(e, "its former state is still kept: "+err.Error())
			}
			dirs[path.Dir(e.Kept.Name)] = true
		}
	}
	for dir := range dirs {
		_ = c.keep.all.Remove(dir) // if it is empty
	}
}
