package pathname

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// OfName returns the error of a call that concerns the name that the caller gave, without the name
// of the call: the errors of package os have none, and os.IsNotExist and its kin find the errno
// only then. All other errors of calls keep the name, so that these functions never take an error
// of another object for one of the name.
func OfName(err error) error {
	if e, ok := err.(*os.SyscallError); ok { //nolint:errorlint // nothing was added to it
		return e.Err
	}
	return err
}

// A DirError is an error of the permissions of the directory of the name that the caller gave. An
// error of package snapshot then has the name of the directory in place of that name.
type DirError struct {
	Path string
	Err  error
}

func (e *DirError) Error() string { return "directory " + e.Path + ": " + e.Err.Error() }
func (e *DirError) Unwrap() error { return e.Err }

// OfDir returns the error of a call that concerns the directory dir.
func OfDir(dir int, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		if name, nameErr := sys.FDPath(dir); nameErr == nil {
			return &DirError{name, OfName(err)}
		}
	}
	return fmt.Errorf("directory: %w", err)
}
