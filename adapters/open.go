package adapters

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// Open is like [os.Open], but reads a snapshot of the file: what other processes do to the file
// afterwards does not show. It opens regular files alone. The Reader must be closed. Open makes the
// snapshot with [snapshot.Open]; for a [snapshot.Config] or a context, use [NewReader].
func Open(name string) (*Reader, error) {
	m, err := snapshot.Open(name)
	if err != nil {
		return nil, err
	}
	return &Reader{src: m, fixed: true, closes: m}, nil
}

// Create is like [os.Create], but the file is made, or gets its new contents, with Sync or Close:
// see [OpenFile].
func Create(name string) (*File, error) {
	return OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

// OpenFile is like [os.OpenFile], but what is written becomes the contents of the file with Sync or
// Close, atomically and durably: see [File.Close] for what Close does. Until then, other processes
// see the old file, or none. The package documentation lists what else is different.
//
//	O_RDWR, O_WRONLY  one of them is required; a File of O_WRONLY refuses reads with syscall.EBADF
//	O_CREATE          perm is the mode before the umask if the file is not there
//	O_EXCL            with O_CREATE: the name must be free now, and when the file is published. Later
//	                  commits fail, with snapshot.ErrConflict, if another process has changed the file
//	O_TRUNC           the contents are empty at first; they are not copied
//	O_APPEND          each Write goes to the end, whatever other goroutines write through the File
//
// Any other flag, and O_RDONLY, for which Open is, is errors.ErrUnsupported. The caller needs the
// permissions of [snapshot.Config.OpenMut]. For a [snapshot.Config] or a context, use [NewFile].
func OpenFile(name string, flag int, perm fs.FileMode) (*File, error) {
	m, isNew, err := openMut(name, flag, perm)
	if err != nil {
		if _, ok := err.(*fs.PathError); !ok { //nolint:errorlint // an error of the snapshot is one
			err = &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return nil, rename("open", err)
	}
	f := &File{
		m:         m,
		publishes: true,
		writeOnly: flag&accessMode == os.O_WRONLY,
		appends:   flag&os.O_APPEND != 0,
	}
	if isNew {
		f.synced.Store(neverSynced)
	}
	return f, nil
}

const (
	accessMode = os.O_RDONLY | os.O_WRONLY | os.O_RDWR
	canOpen    = accessMode | os.O_CREATE | os.O_EXCL | os.O_TRUNC | os.O_APPEND
)

// openMut opens the snapshot of OpenFile. It reports whether the file has to be made, or to become
// empty, though nothing is written.
func openMut(name string, flag int, perm fs.FileMode) (m *snapshot.MmapMut, isNew bool, err error) {
	switch access := flag & accessMode; {
	case access == os.O_RDONLY:
		return nil, false, fmt.Errorf("O_RDONLY: use Open: %w", errors.ErrUnsupported)
	case access != os.O_RDWR && access != os.O_WRONLY || flag&^canOpen != 0:
		return nil, false, fmt.Errorf("flags %#x, not all of which OpenFile knows: %w",
			flag, errors.ErrUnsupported)
	}
	creates := flag&os.O_CREATE != 0
	if creates && strings.HasSuffix(name, "/") { // as open(2), which makes no directory
		dir, _ := filepath.Split(strings.TrimRight(name, "/"))
		if _, err := os.Stat(dir + "."); err != nil {
			return nil, false, errors.Unwrap(err)
		}
		return nil, false, syscall.EISDIR
	}
	// Perm 0 would be the default. ModeIrregular is no bit of it.
	c := snapshot.Config{Perm: perm | fs.ModeIrregular}
	switch {
	case creates && flag&os.O_EXCL != 0:
		if _, err := os.Lstat(name); err == nil {
			return nil, false, syscall.EEXIST
		}
		c.CheckConflict = true
	case flag&os.O_TRUNC == 0:
		m, err = c.OpenMut(context.Background(), name)
		if !creates || !errors.Is(err, fs.ErrNotExist) {
			return m, false, err
		}
	case !creates:
		if _, err := os.Stat(name); err != nil {
			return nil, false, errors.Unwrap(err)
		}
	}
	m, err = c.Create(context.Background(), name)
	return m, true, err
}
