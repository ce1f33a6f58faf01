package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// How a file was copied.
const (
	linked   = "reflink"    // no data were copied
	copiedOf = "copy of a " // and then the Method of the snapshot
	changed  = "copy of the changes"
)

// copyEntry copies what is not a directory. The error is a *lackError if that is no reason to
// give up.
func (c *copier) copyEntry(ctx context.Context, e *entry, progress func(n int)) error {
	switch {
	case e.isDir():
		return nil
	case e.isSymlink():
		if err := c.dst.Symlink(string(e.Target), string(e.Path)); err != nil {
			return lackIfRefused(err)
		}
		return c.setAttributes(ctx, e)
	}
	f, err := openNoFollow(ctx, c.src, string(e.Path))
	if err == nil {
		err = e.readCapability(f)
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &lackError{err}
	}
	defer f.Close()
	done, err := c.link(ctx, e, f, progress)
	if !done && err == nil {
		err = c.copy(ctx, e, f, progress)
	}
	if lack := (*lackError)(nil); errors.As(err, &lack) {
		if err := c.dst.Remove(string(e.Path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err != nil {
		return err
	}
	return c.setAttributes(ctx, e)
}

// lackIfRefused makes an error of writing one that is no reason to give up, if it is about this
// file alone.
func lackIfRefused(err error) error {
	if refusesFile(err) {
		return &lackError{err}
	}
	return err
}

// link puts a snapshot of f into the copy without copying data. It reports false, and has done
// nothing, where that cannot be: the two are on different filesystems, or on one without reflinks;
// or f may not be written to, which a snapshot that can be committed asks for.
func (c *copier) link(ctx context.Context, e *entry, f *os.File, progress func(n int)) (bool, error) {
	// NoSync: the whole filesystem is synced before the manifest is written. Not Mmap.Link, which
	// takes over no attributes.
	m, err := snapshot.Config{Root: c.dst, NoCopy: true, NoSync: true}.FromFileMut(ctx, f)
	if err != nil {
		return false, ctx.Err()
	}
	defer m.Close()
	if err := m.Link(string(e.Path)); err != nil {
		return false, ctx.Err() // copying will tell whether it is serious
	}
	fi, err := m.Stat()
	if err != nil {
		return true, err
	}
	if err := e.checkCapability(fi); err != nil {
		return true, err
	}
	e.describe(fi)
	e.Method = linked
	return true, lackOfReading(ctx, nil, e.hash(ctx, io.Discard, m, false, progress))
}

// copy copies a snapshot of f.
func (c *copier) copy(ctx context.Context, e *entry, f *os.File, progress func(n int)) error {
	// TempDir: where the directory of f may not be written to, the snapshot is made in the copy's,
	// which is as good if the two are on one filesystem. Open takes a lease on the file. FromFile
	// does not, if the descriptor is open for reading.
	var m *snapshot.Mmap
	if c.keep != nil && e.before.Size() >= keptFrom {
		m = c.keep.snapshot(ctx, f)
	}
	toKeep := m != nil
	if !toKeep {
		var err error
		m, err = snapshot.Config{TempDir: nameOf(c.dir)}.Open(ctx, nameOf(f))
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
				return err // no other file will fare better
			}
			return &lackError{err}
		}
	}
	defer m.Close()
	fi, err := m.Stat()
	if err != nil {
		return err
	}
	if err := e.checkCapability(fi); err != nil {
		return err
	}
	e.describe(fi)
	if toKeep {
		done, err := c.copyChanges(ctx, e, m, progress)
		if !done && err == nil {
			err = c.copyWhole(ctx, e, m, true, progress)
		}
		if err != nil {
			return err
		}
		return c.keepState(ctx, e, m)
	}
	return c.copyWhole(ctx, e, m, false, progress)
}

// copyWhole copies all that m holds.
func (c *copier) copyWhole(
	ctx context.Context, e *entry, m *snapshot.Mmap, byBlocks bool, progress func(n int),
) error {
	e.Method = copiedOf + m.Method().String()
	file, err := c.dst.OpenFile(string(e.Path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return lackIfRefused(err)
	}
	dst := &sparseWriter{file: file}
	err = lackOfReading(ctx, dst, e.hash(ctx, dst, m, byBlocks, progress))
	if err == nil {
		err = lackIfRefused(file.Truncate(dst.off))
	}
	return errors.Join(err, file.Close())
}

// lackOfReading makes an error of copying to dst one that is no reason to give up, if it is of
// reading or about this file alone.
func lackOfReading(ctx context.Context, dst *sparseWriter, err error) error {
	if err != nil && (dst == nil || dst.err == nil) && ctx.Err() == nil {
		return &lackError{err}
	}
	return lackIfRefused(err)
}

// hash writes what src holds to dst and its hash to the entry.
func (e *entry) hash(
	ctx context.Context, dst io.Writer, src adapters.Source, byBlocks bool, progress func(n int),
) error {
	h := newContentHash(byBlocks)
	err := program.Copy(ctx, io.MultiWriter(dst, h), adapters.NewReader(src), progress)
	h.store(e)
	return err
}

// A sparseWriter leaves out what is zero; the file has to be given its size in the end.
type sparseWriter struct {
	file  *os.File
	off   int64
	punch bool // what is zero is made a hole: the file may hold something else there
	err   error
}

func (w *sparseWriter) Write(p []byte) (n int, err error) {
	n = len(p)
	isZero := zero(p)
	if isZero && w.punch {
		isZero = punchHole(w.file, w.off, int64(n)) == nil
	}
	if !isZero {
		n, err = w.file.WriteAt(p, w.off)
	}
	w.off += int64(n)
	w.err = err
	return n, err
}

// zero reports whether all of p is: the first byte, and each that follows is as the one before.
func zero(p []byte) bool {
	return len(p) == 0 || p[0] == 0 && bytes.Equal(p[1:], p[:len(p)-1])
}
