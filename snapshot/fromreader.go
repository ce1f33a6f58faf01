package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// FromReaderAt is [Config.FromReaderAt] with the defaults and no context.
func FromReaderAt(r io.ReaderAt, size int64, name string) (*Mmap, error) {
	return Config{}.FromReaderAt(context.Background(), r, size, name)
}

// FromReaderAt makes a snapshot of the first size bytes of r, for code that takes a Mmap and data
// that are in no file, as an upload is. The name is for errors and for Name; no file has it. A
// snapshot of an *os.File costs less by FromFile.
//
// Up to 128 KiB are kept in the Go heap. More are kept where the private copy of a file goes: in
// TempDir, without a name, or else in memory, up to 64 MiB. FromReaderAt reads r from the front to
// the end, in pieces of at most 1 MiB, on its own goroutine, and does not use r after it returns.
//
// If r ends before size, the error is io.ErrUnexpectedEOF. Another error of r is found by errors.Is,
// also if r returns it with all bytes that it was asked for. With NoCopy, the error is errors.ErrUnsupported; with RequireConsistent, it is
// ErrUnstable, since r can change meanwhile. Method is None, Settled false, and Stat describes a
// file that can be read, of no time.
func (c Config) FromReaderAt(
	ctx context.Context, r io.ReaderAt, size int64, name string,
) (*Mmap, error) {
	m, err := c.fromReaderAt(ctx, r, size, name)
	return m, pathError("open", name, err)
}

func (c Config) fromReaderAt(
	ctx context.Context, r io.ReaderAt, size int64, name string,
) (*Mmap, error) {
	switch {
	case r == nil:
		return nil, fs.ErrInvalid
	case size < 0:
		return nil, fmt.Errorf("negative size %d: %w", size, fs.ErrInvalid)
	case size > math.MaxInt:
		return nil, syscall.EFBIG
	case c.NoCopy:
		return nil, fmt.Errorf("a reader can only be copied: %w", errors.ErrUnsupported)
	case c.RequireConsistent:
		return nil, fmt.Errorf("%w: a reader does not tell whether it changes", ErrUnstable)
	}
	copied, err := c.options(true).CopyReader(ctx, r, size)
	if err != nil {
		return nil, err
	}
	return c.newMmap(copied, name, syscalls.Stat{Mode: 0o444, Size: size})
}
