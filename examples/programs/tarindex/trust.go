package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
)

// A place is where the file of an index is, or will be.
type place struct {
	dir  *os.Root
	base string
	name string // as given
}

// errNotTrusted: another user decides, or could, what is in the index. An index says where in the
// archive a member is, so it decides which contents are shown under a name.
var errNotTrusted = errors.New("not used as an index")

// findPlace opens the directory that the file name is in, which must be the caller's or root's, and
// may be written to by nobody else: what is read and made there stays there.
func findPlace(name string) (*place, error) {
	real, err := filepath.EvalSymlinks(name)
	if errors.Is(err, fs.ErrNotExist) {
		real, err = name, nil
	}
	if err != nil {
		return nil, err
	}
	at, base := program.SplitName(real)
	// "/.": to open a FIFO would wait for its other end.
	dir, err := os.OpenRoot(at + "/.")
	if err != nil {
		return nil, err
	}
	fi, err := dir.Stat(".")
	if err == nil {
		err = checkTrust("its directory", fi)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", program.Printable(name), err), dir.Close())
	}
	return &place{dir, base, name}, nil
}

func (p *place) close() { _ = p.dir.Close() }

// checkTrust returns an error if anybody but the caller and root owns a file or may write to it. An
// ACL cannot give more than the bits of the group in the mode (acl(5)).
func checkTrust(what string, fi fs.FileInfo) error {
	switch uid, ok := owner(fi); {
	case ok && uid != os.Geteuid() && uid != 0:
		return fmt.Errorf("%w: %s belongs to user %d", errNotTrusted, what, uid)
	case fi.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%w: others may write to %s (chmod go-w)", errNotTrusted, what)
	}
	return nil
}
