package httpfs

import (
	"errors"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// isBusy reports whether the error of opening a file says that it can be opened later: another
// process writes to the file or holds a lease on it, or descriptors, memory or disk space are short.
func isBusy(err error) bool {
	for _, busy := range []error{
		snapshot.ErrUnstable, syscall.EAGAIN, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM,
		syscall.ENOSPC, syscall.EDQUOT,
	} {
		if errors.Is(err, busy) {
			return true
		}
	}
	return false
}
