package privatefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// memoryLimit is how large a file may be whose copy is kept in memory because no directory can
// hold it: what is in a memfd counts as memory.
const memoryLimit = 64 << 20

// A candidate is a place that may be able to hold a private file.
type candidate struct {
	name   string
	memory bool
}

// An Unnamed is an empty private file and how it came to be where it is.
type Unnamed struct {
	candidate
	FD       int
	Linkable bool     // it can get a name in the directory of the file
	tried    []string // the candidates before, and why each of them cannot hold it
}

// wrapTried adds the candidates tried before and their errors to err. Only err itself is wrapped, so
// that errors.Is does not match the earlier failures: a TempDir that does not exist must not be
// taken for a file that does not exist.
func (u Unnamed) wrapTried(err error) error {
	if err == nil || len(u.tried) == 0 {
		return err
	}
	return fmt.Errorf("%s; %s: %w", strings.Join(u.tried, "; "), u.name, err)
}

// Create makes an empty private file at the first candidate that can hold it: the directory of the
// file; TempDir; memory, if InMemory is set. A linkable file needs a directory that may be written
// to, and gets its name there directly if the filesystem knows unnamed files.
//
// No candidate has a name until it is unlinked: a process that is killed between the two would leave
// it.
func (o Options) Create(dir int, perm uint32, size int64, linkable bool) (Unnamed, error) {
	if linkable {
		fd, err := sys.Tmpfile(dir, perm)
		if !errors.Is(err, errors.ErrUnsupported) {
			return Unnamed{FD: fd, Linkable: true}, err
		}
	}
	fd, err := tmpfileIn(dir, perm)
	if err == nil || !unsuitable(err) {
		return Unnamed{FD: fd}, err
	}
	temp := o.TempDir
	if temp == "" {
		temp = os.TempDir()
	}
	u := Unnamed{tried: []string{fmt.Sprintf("directory of the file: %v", err)}}
	u.candidate = candidate{name: "temporary directory " + temp}
	u.FD, err = tmpfileAt(temp, perm)
	if unsuitable(err) && o.InMemory {
		u.tried = append(u.tried, fmt.Sprintf("%s: %v", u.name, err))
		u.candidate = candidate{name: "memory", memory: true}
		u.FD, err = o.memfd(size)
	}
	return u, u.wrapTried(err)
}

func tmpfileIn(dir int, perm uint32) (int, error) {
	if dir == pathname.NoDir {
		return -1, errNoDir
	}
	return sys.TmpfileExcl(dir, perm)
}

func tmpfileAt(name string, perm uint32) (int, error) {
	dir, err := sys.OpenDir(syscalls.AtFdcwd, name)
	if err != nil {
		return -1, err
	}
	defer syscalls.Close(dir)
	return sys.TmpfileExcl(dir, perm)
}

func (o Options) memfd(size int64) (int, error) {
	if o.NoCopy {
		return -1, fmt.Errorf("%w: nothing can be cloned there", errors.ErrUnsupported)
	}
	if size > memoryLimit {
		return -1, tooLarge(size)
	}
	fd, err := sys.Memfd("mmapsnapshot")
	if err != nil {
		return -1, err
	}
	if err := sys.Fchmod(fd, 0); err != nil { // it is 0o777
		_ = syscalls.Close(fd)
		return -1, err
	}
	return fd, nil
}

func tooLarge(size int64) error {
	return fmt.Errorf("%w: %d bytes are more than the %d allowed there", errors.ErrUnsupported, size, memoryLimit)
}

var errNoDir = fmt.Errorf("%w: it is not known to lie in one", errors.ErrUnsupported)

// unsuitable reports whether an error means that this place is not one for an unnamed file,
// while another may be.
func unsuitable(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || // EOPNOTSUPP, EISDIR: the filesystem, or the kernel before 3.11, knows no O_TMPFILE; ENOSYS: a sandbox
		errors.Is(err, fs.ErrPermission) || // EACCES: the directory may not be written to; EPERM: /proc, or immutable
		errors.Is(err, syscall.EROFS) || // read-only
		errors.Is(err, fs.ErrNotExist) // ENOENT: the directory was removed, or there is no TempDir
	// Left out: ENOSPC and EDQUOT, which are the user's to know of; EBADF, a mistake here; and
	// ENOTDIR, ELOOP and the like, which are mistakes in TempDir.
}
