package snapshot

import (
	"io/fs"
	"os"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/publish"
)

// The errors of this package that the standard library has no word for. They come wrapped: test
// with [errors.Is].
var (
	// ErrConflict: the file is no longer the one that was opened, or last committed. Without
	// Config.CheckConflict it is returned where another file has the name, if owner, group, mode,
	// ACL or security labels of the two differ, or if Config.InPlace is set.
	ErrConflict = publish.ErrConflict

	// ErrUnstable: the file was changed each time while it was copied, or, with
	// RequireConsistent, only a copy that cannot exclude that could be had. With Lazy, a method
	// that reads: the lease was lost before there was a private copy.
	ErrUnstable = privatefile.ErrUnstable

	// ErrNotDurable: the commit is visible to everybody, but writing the directory, or with
	// InPlace the file, to the disk failed; after a crash the old version may be back.
	ErrNotDurable = publish.ErrNotDurable
)

func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	if dir, ok := err.(*pathname.DirError); ok { //nolint:errorlint // nothing was added to it
		name, err = dir.Path, dir.Err
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func linkError(op, old, name string, err error) error {
	if err == nil {
		return nil
	}
	if dir, ok := err.(*pathname.DirError); ok { //nolint:errorlint // nothing was added to it
		name, err = dir.Path, dir.Err
	}
	return &os.LinkError{Op: op, Old: old, New: name, Err: err}
}
