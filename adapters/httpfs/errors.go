package httpfs

import (
	"errors"
	"io/fs"
	"slices"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// isMissing reports whether the error of opening a file says that no file is served at that name.
func isMissing(err error) bool {
	return isOneOf(err, fs.ErrNotExist, fs.ErrInvalid, syscall.ENOTDIR, syscall.ELOOP,
		syscall.ENAMETOOLONG)
}

// isBusy reports whether the error of opening a file says that it can be opened later: another
// process writes to the file or holds a lease on it, or descriptors, memory or disk space are short.
func isBusy(err error) bool {
	return isOneOf(err, snapshot.ErrUnstable, syscall.EAGAIN, syscall.EMFILE, syscall.ENFILE,
		syscall.ENOMEM, syscall.ENOSPC, syscall.EDQUOT)
}

func isOneOf(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}
