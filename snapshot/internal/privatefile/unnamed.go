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

// noFile stands for the directory if there is no file that is copied.
const noFile = pathname.NoDir - 1

// A candidate is a place that may be able to hold a private file.
type candidate int

const (
	publishable candidate = iota // the directory of the file; the private file can get a name there
	beside                       // the directory of the file
	temporary                    // TempDir
	memory
	heap // Go memory
)

// An Unnamed is an empty private file and where it lies.
type Unnamed struct {
	FD       int
	Linkable bool   // it can get a name in the directory of the file
	Where    string // where it lies, for users; empty until it is complete
	place    candidate
	tried    failures // of the candidates before this one
	noClone  error    // why it is no reflink, if it holds a copy
}

// where says where the private file lies, and why there, and why it is no reflink.
func (o Options) where(u Unnamed) string {
	text := "in the " + o.name(u.place)
	switch u.place {
	case publishable, beside:
		text = "in the directory of the file" // allocates nothing
	case memory:
		text = "in memory"
	case heap:
		return "in the Go heap"
	}
	why := u.tried.text()
	if u.noClone != nil {
		why = strings.TrimPrefix(why+"; "+u.noClone.Error(), "; ")
	}
	if why != "" {
		text += " (" + why + ")"
	}
	return text
}

// Create makes an empty private file at the first candidate that can hold it: the directory of the
// file; TempDir; memory, if InMemory is set. A linkable file needs a directory that may be written
// to, and gets its name there directly if the filesystem knows unnamed files.
//
// No private file has a name until it is unlinked: a process that is killed between the two would
// leave it.
func (o Options) Create(dir int, perm uint32, size int64, linkable bool) (u Unnamed, err error) {
	err = o.search(dir, perm, size, linkable, func(made Unnamed) error {
		u = made
		u.Where = o.where(u)
		return nil
	})
	return u, err
}

// search makes an empty private file at one candidate after the other until use, which gets it,
// succeeds. It goes on if the file cannot be made, or if use returns an error that WriteError
// marked, unless the error is final.
func (o Options) search(
	dir int, perm uint32, size int64, linkable bool, use func(u Unnamed) error,
) error {
	candidates := []candidate{beside, temporary, memory}
	switch {
	case linkable:
		candidates = []candidate{publishable, beside, temporary, memory}
	case dir == noFile:
		candidates = []candidate{temporary, memory}
	}
	var tried failures
	for _, c := range candidates {
		if c == memory && !o.InMemory {
			continue
		}
		// A process that fills a disk must not move the contents of files to the directory that
		// all users share.
		if c == temporary && o.TempDir == "" && tried.full() != nil {
			continue
		}
		fd, err := o.create(c, dir, perm, size)
		if c == publishable && errors.Is(err, errors.ErrUnsupported) {
			continue // no unnamed files, or none that can get a name, which the next one finds out
		}
		ofPlace := err != nil
		if err == nil {
			err = use(Unnamed{FD: fd, Linkable: c == publishable, place: c, tried: tried})
			ofPlace = IsWriteError(err)
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errSizeUnknown):
			return err // wherever the copy lies
		case c == publishable: // a commit would meet it again
			if ofPlace && errors.Is(err, fs.ErrPermission) {
				err = pathname.OfDir(dir, err)
			}
			return err
		}
		tried = append(tried, failure{o.name(c), err})
		if !ofPlace || isFinal(c, err) {
			return tried.last()
		}
	}
	if full := tried.full(); full != nil {
		return full
	}
	return tried.last()
}

// isFinal reports whether an error of one candidate ends the search. After all others, of which
// O_TMPFILE and the filesystems have many, another candidate may work.
func isFinal(c candidate, err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.EMFILE, // RLIMIT_NOFILE, and the next candidate takes a descriptor, too
		syscall.ENFILE, // the same for the whole system
		syscall.ENOMEM, // the kernel's memory, or that of a control group
		syscall.EFBIG,  // RLIMIT_FSIZE, which holds for a memfd, too
		syscall.EBADF,  // a mistake here
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	// Mistakes in the value of TempDir. ENOENT and EACCES are none: the user's directory of
	// temporary files may not be there, as in a container, or belong to another user.
	return c == temporary && (errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) ||
		errors.Is(err, syscall.ENAMETOOLONG))
}

func (o Options) name(c candidate) string {
	switch c {
	case temporary:
		return "temporary directory " + o.tempDir()
	case memory:
		return "memory"
	}
	return "directory of the file"
}

func (o Options) tempDir() string {
	if o.TempDir == "" {
		return os.TempDir()
	}
	return o.TempDir
}

func (o Options) create(c candidate, dir int, perm uint32, size int64) (int, error) {
	switch c {
	case publishable:
		return sys.Tmpfile(dir, perm)
	case temporary:
		return tmpfileAt(o.tempDir(), perm)
	case memory:
		return o.memfd(size)
	}
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
		return -1, fmt.Errorf("nothing can be cloned there: %w", errors.ErrUnsupported)
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
	return fmt.Errorf("%d bytes are more than the %d allowed there: %w",
		size, memoryLimit, errors.ErrUnsupported)
}

var errNoDir = fmt.Errorf("not known: %w", errors.ErrUnsupported)
