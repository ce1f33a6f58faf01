package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// setByte changes one byte of a file, atomically and durably. Whoever reads the file meanwhile,
// and whoever finds it after a crash, sees all of the old or all of the new contents.
func setByte(ctx context.Context, name string, off int64, b byte) error {
	m, err := snapshot.Config{}.OpenMut(ctx, name)
	if err != nil {
		return err
	}
	defer m.Close() // discards what was not committed; afterwards it does nothing
	if _, err := m.WriteAt([]byte{b}, off); err != nil {
		return err
	}
	return m.CommitAndClose()
}

// rewriteByte does the same the ordinary way: all of the file into a temporary one, which
// reaches the disk before it is renamed over the old one, and then the directory, without which
// a crash could bring the old one back.
func rewriteByte(ctx context.Context, name string, off int64, b byte) error {
	src, err := os.Open(name)
	if err != nil {
		return err
	}
	defer src.Close()
	temp := name + ".tmp"
	err = create(temp, func(dst *os.File) error {
		// io.Copy would let the kernel share the data where the filesystem can, which is what
		// the other way does; rewriting a file means to write it.
		if err := copyBytes(ctx, dst, src, off, func(byte) byte { return b }); err != nil {
			return err
		}
		return dst.Sync()
	})
	if err == nil {
		err = os.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// copyBytes copies src to dst, but sends the byte at offset at, if there is one, through
// change.
func copyBytes(ctx context.Context, dst io.Writer, src io.Reader, at int64, change func(byte) byte) error {
	buf := make([]byte, 1<<20)
	for off := int64(0); ; {
		n, err := io.ReadFull(src, buf)
		if at >= off && at < off+int64(n) {
			buf[at-off] = change(buf[at-off])
		}
		off += int64(n)
		if _, err := dst.Write(buf[:n]); err != nil {
			return err
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
}

// hash returns the hash of what src would hold if all bits of the byte at offset flip, if there
// is one, were the other way round.
func hash(ctx context.Context, src io.Reader, flip int64) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	if err := copyBytes(ctx, h, src, flip, func(b byte) byte { return ^b }); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

func hashFile(ctx context.Context, name string, flip int64) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	return hash(ctx, f, flip)
}

// compareEdits changes a byte in the middle of the file by setByte and back by rewriteByte, in
// turn. After each change it reads the whole file the ordinary way, to see that only the byte
// changed, and so that both begin with the file in memory.
func compareEdits(ctx context.Context, c config, r *report, name string) error {
	off := c.size / 2
	old, err := byteAt(name, off)
	if err != nil {
		return err
	}
	before, err := hashFile(ctx, name, -1)
	if err != nil {
		return err
	}
	after, err := hashFile(ctx, name, off)
	if err != nil {
		return err
	}
	type way func(ctx context.Context, name string, off int64, b byte) error
	edit := func(how way, b byte, want [sha256.Size]byte) func() (time.Duration, error) {
		return func() (time.Duration, error) {
			begin := time.Now()
			if err := how(ctx, name, off, b); err != nil {
				return 0, err
			}
			took := time.Since(begin)
			got, err := hashFile(ctx, name, -1)
			if err != nil {
				return 0, err
			}
			if got != want {
				return 0, fmt.Errorf("%s: not just the byte at %d has changed", name, off)
			}
			r.verified++
			return took, nil
		}
	}
	return r.compare(ctx, "change a byte of "+human(c.size)+", durably", limits{c.rounds, 2*c.rounds - 1, c.budget}, 0,
		edit(rewriteByte, ^old, after), edit(setByte, old, before))
}

func byteAt(name string, off int64) (byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	return b[0], err
}
